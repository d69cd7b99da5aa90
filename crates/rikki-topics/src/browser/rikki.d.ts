/** What a topic is opened with. */
export interface TopicOptions {
  /**
   * Asked for each attempt: what goes into the URL as `token`, or nothing. It may take its time, up to `timeout`, at
   * which the signal is aborted; what it throws is told by `error`, and tried again.
   */
  token?: (signal: AbortSignal) => string | null | undefined | Promise<string | null | undefined>;
  /**
   * How many bytes may wait to be sent while there is no connection, of all messages together; an empty one counts as
   * one byte. Default 0: none, so that `send` rejects.
   */
  queue?: number;
  /** The shortest wait before an attempt, in milliseconds; default 500. */
  minDelay?: number;
  /** The longest wait before an attempt, in milliseconds; default 20,000. */
  maxDelay?: number;
  /** How long an attempt may take, from asking for the token until the topic has begun, in milliseconds; default 10,000. */
  timeout?: number;
}

/** The topic has begun, or goes on. */
export interface OpenEvent extends Event {
  /** Of a topic that goes on, whether nothing is missing; else `null`. A `gap` follows `false`. */
  readonly recovered: boolean | null;
}

export interface TopicMessageEvent extends Event {
  readonly data: string | ArrayBuffer;
  /** When it was published, by the server's clock: milliseconds since 1970. */
  readonly time: number;
  /** Where it is in the topic. */
  readonly lastEventId: string;
}

/** Messages are missing here. */
export interface GapEvent extends Event {
  /** How many, if that is known. */
  readonly missed: number | null;
}

export interface Member {
  readonly client: string;
  readonly user: string;
  readonly info: string;
}

/** Who is there, when the topic has begun, and then who comes and goes: for a topic with `?presence=true` in its URL. */
export interface PresenceEvent extends Event {
  readonly count: number;
  readonly joined: readonly Member[];
  readonly left: readonly Member[];
  /** Whether these are all. */
  readonly complete: boolean;
}

/** An attempt has failed, or a connection was lost without a word. */
export interface TopicErrorEvent extends Event {
  readonly error: unknown;
}

/** A connection has closed, or an attempt has led to none. */
export interface TopicCloseEvent extends Event {
  readonly code: number;
  readonly reason: string;
  readonly wasClean: boolean;
  /** After how many milliseconds it comes back; `null` if it does not. */
  readonly retry: number | null;
}

export interface TopicEvents {
  open: OpenEvent;
  message: TopicMessageEvent;
  gap: GapEvent;
  presence: PresenceEvent;
  error: TopicErrorEvent;
  close: TopicCloseEvent;
}

/**
 * A topic, by a WebSocket that comes back by itself and goes on where it was.
 *
 * It waits a random time, at first up to a second and then up to twice as long each time, as `minDelay` and `maxDelay`
 * bound it; not at all when the browser is `online` again or the page is shown. It does not come back from 1008, 1009,
 * 3500 to 3999 and 4500 to 4999, which the server means, nor from `close`.
 */
export class Topic extends EventTarget {
  static readonly CONNECTING: 0;
  static readonly OPEN: 1;
  static readonly CLOSING: 2;
  static readonly CLOSED: 3;

  /**
   * Opens a topic, and connects at once.
   *
   * @param url Where it is, in relation to the page, such as `/chat`, `/chat?last=10` for what was said before, or
   * `/chat?since=` and a `position`. `http` and `ws` mean the same.
   */
  constructor(url: string | URL, options?: TopicOptions);

  /** The address, without what is added to it: position and token. */
  readonly url: string;

  /** `CONNECTING` while it waits, too. */
  readonly readyState: 0 | 1 | 2 | 3;

  /**
   * Behind the last message that was told of, for `?since=`; `null` before the topic has begun. Where nothing comes for
   * long it moves on by itself, so that it does not grow old.
   */
  readonly position: string | null;

  /** The bytes that `send` was given and that have not left the browser. */
  readonly bufferedAmount: number;

  onopen: ((this: Topic, event: OpenEvent) => void) | null;
  onmessage: ((this: Topic, event: TopicMessageEvent) => void) | null;
  ongap: ((this: Topic, event: GapEvent) => void) | null;
  onpresence: ((this: Topic, event: PresenceEvent) => void) | null;
  onerror: ((this: Topic, event: TopicErrorEvent) => void) | null;
  onclose: ((this: Topic, event: TopicCloseEvent) => void) | null;

  /**
   * Connects now, in place of waiting, or again after it has closed. It makes no second connection: where there is one,
   * or an attempt, it does nothing, and one that is closing is closed first.
   */
  connect(): void;

  /** Closes for good, or until `connect`. Messages that wait to be sent are rejected. */
  close(code?: number, reason?: string): void;

  /**
   * Publishes. It resolves when the browser has taken the message to send it, which is no promise that the server got it:
   * POST with an `Idempotency-Key` is. While there is no connection it rejects, unless there is room in the `queue`,
   * which the next connection sends first, in order; a message larger than that is rejected.
   */
  send(data: string | ArrayBuffer | ArrayBufferView | Blob): Promise<void>;

  addEventListener<T extends keyof TopicEvents>(
    type: T,
    listener: ((this: Topic, event: TopicEvents[T]) => void) | { handleEvent(event: TopicEvents[T]): void } | null,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | AddEventListenerOptions,
  ): void;
  removeEventListener<T extends keyof TopicEvents>(
    type: T,
    listener: ((this: Topic, event: TopicEvents[T]) => void) | { handleEvent(event: TopicEvents[T]): void } | null,
    options?: boolean | EventListenerOptions,
  ): void;
  removeEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | EventListenerOptions,
  ): void;
}
