//! The codes of Centrifugo: of errors in replies, of what ends a connection, and of what ends a subscription.

use rikki_ws::CloseCode;
use rikki_ws::internal::Outlet;

use crate::error::{PublishError, SubscribeError};

/// Why a command has failed, as its reply says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) code: u32,
    pub(super) message: &'static str,
    /// Clients try again by themselves.
    pub(super) is_temporary: bool,
}

impl Fault {
    pub(super) const INTERNAL: Self = Self { code: 100, message: "internal server error", is_temporary: true };
    pub(super) const UNKNOWN_CHANNEL: Self = Self::lasting(102, "unknown channel");
    pub(super) const PERMISSION_DENIED: Self = Self::lasting(103, "permission denied");
    pub(super) const ALREADY_SUBSCRIBED: Self = Self::lasting(105, "already subscribed");
    pub(super) const LIMIT_EXCEEDED: Self = Self::lasting(106, "limit exceeded");
    pub(super) const BAD_REQUEST: Self = Self::lasting(107, "bad request");
    pub(super) const NOT_AVAILABLE: Self = Self::lasting(108, "not available");
    /// Of a connection or of a subscription that begins: clients ask for another token and try again.
    pub(super) const TOKEN_EXPIRED: Self = Self::lasting(109, "token expired");
    /// Of a subscription that is to be refreshed.
    pub(super) const EXPIRED: Self = Self::lasting(110, "expired");
    pub(super) const UNRECOVERABLE_POSITION: Self = Self::lasting(112, "unrecoverable position");

    const fn lasting(code: u32, message: &'static str) -> Self {
        Self { code, message, is_temporary: false }
    }
}

impl From<SubscribeError> for Fault {
    fn from(error: SubscribeError) -> Self {
        match error {
            SubscribeError::Name(_) => Self::BAD_REQUEST,
            SubscribeError::Unknown => Self::UNKNOWN_CHANNEL,
            SubscribeError::TooManyOfConnection => Self::LIMIT_EXCEEDED,
            SubscribeError::Already => Self::ALREADY_SUBSCRIBED,
            // There may be room in a moment.
            _ => Self::INTERNAL,
        }
    }
}

impl From<PublishError> for Fault {
    fn from(error: PublishError) -> Self {
        match error {
            PublishError::Name(_) | PublishError::BadKey => Self::BAD_REQUEST,
            PublishError::Unknown => Self::UNKNOWN_CHANNEL,
            PublishError::TooLong { .. } => Self::LIMIT_EXCEEDED,
            _ => Self::INTERNAL,
        }
    }
}

/// Why a connection is closed. From 3000 to 3499 clients come back by themselves, from 3500 to 3999 they do not. No
/// reason is JSON, which centrifuge-js would take for advice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct End {
    code: CloseCode,
    reason: &'static str,
}

impl End {
    pub(super) const NO_MEMORY: Self = Self { code: CloseCode::TRY_AGAIN_LATER, reason: "no memory is left" };
    pub(super) const SERVER_ERROR: Self = Self::of(3004, "internal server error");
    pub(super) const EXPIRED: Self = Self::of(3005, "connection expired");
    pub(super) const SLOW: Self = Self::of(3008, "slow");
    pub(super) const INSUFFICIENT_STATE: Self = Self::of(3010, "insufficient state");
    pub(super) const NO_PONG: Self = Self::of(3012, "no pong");
    pub(super) const INVALID_TOKEN: Self = Self::of(3500, "invalid token");
    pub(super) const BAD_REQUEST: Self = Self::of(3501, "bad request");
    pub(super) const STALE: Self = Self::of(3502, "stale");
    pub(super) const FORCED: Self = Self::of(3503, "disconnect without reconnect");
    pub(super) const INAPPROPRIATE_PROTOCOL: Self = Self::of(3506, "inappropriate protocol");
    pub(super) const PERMISSION_DENIED: Self = Self::of(3507, "permission denied");
    pub(super) const NOT_AVAILABLE: Self = Self::of(3508, "not available");

    const fn of(code: u16, reason: &'static str) -> Self {
        Self { code: CloseCode(code), reason }
    }

    pub(super) const fn parts(self) -> (CloseCode, &'static str) {
        (self.code, self.reason)
    }

    pub(super) fn close(self, outlet: &mut Outlet<'_>) {
        outlet.close(self.code, self.reason);
    }
}

/// What becomes of a command that is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    Reply(Fault),
    Close(End),
}

impl From<Fault> for Refused {
    fn from(fault: Fault) -> Self {
        Self::Reply(fault)
    }
}

impl From<End> for Refused {
    fn from(end: End) -> Self {
        Self::Close(end)
    }
}

/// Why a subscription has ended: from 2500 on clients subscribe anew by themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unsubscribed {
    pub(super) code: u32,
    pub(super) reason: &'static str,
}

impl Unsubscribed {
    /// Publications are missing: who subscribes anew is told whether they can be had.
    pub(super) const INSUFFICIENT_STATE: Self = Self { code: 2500, reason: "insufficient state" };
    pub(super) const EXPIRED: Self = Self { code: 2501, reason: "subscription expired" };
}
