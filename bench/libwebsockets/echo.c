/* The echo on libwebsockets: every message comes back, whole. The argument is the port on loopback. */

#include <libwebsockets.h>
#include <stdlib.h>
#include <string.h>

/* How much is read at once: as much as in rikki. */
#define READ_SIZE (64 * 1024)

/* A message that waits to be written, with the room in front of it that lws_write wants. */
struct message {
	struct message *next;
	size_t length;
	int binary;
	unsigned char room[LWS_PRE];
	unsigned char payload[];
};

struct session {
	struct message *first;
	struct message **end;
	/* What has come of a message that is not whole, and how much fits in there. */
	struct message *partial;
	size_t capacity;
};

/* Adds a piece of a message, and queues it when it is whole. */
static int take(struct lws *wsi, struct session *session, const void *piece, size_t length)
{
	size_t before = session->partial ? session->partial->length : 0;
	size_t left = lws_remaining_packet_payload(wsi);
	struct message *message = session->partial;

	if (!message || before + length > session->capacity) {
		/* The rest of the frame is known; what frames follow is not. */
		session->capacity = before + length + left;
		message = realloc(message, sizeof(*message) + session->capacity);
		if (!message)
			return -1;
		session->partial = message;
	}
	memcpy(message->payload + before, piece, length);
	message->length = before + length;
	if (left || !lws_is_final_fragment(wsi))
		return 0;
	message->next = NULL;
	message->binary = lws_frame_is_binary(wsi);
	*session->end = message;
	session->end = &message->next;
	session->partial = NULL;
	lws_callback_on_writable(wsi);
	return 0;
}

static int write_all(struct lws *wsi, struct session *session)
{
	while (session->first && !lws_send_pipe_choked(wsi)) {
		struct message *message = session->first;
		int kind = message->binary ? LWS_WRITE_BINARY : LWS_WRITE_TEXT;
		int written = lws_write(wsi, message->payload, message->length, kind);

		session->first = message->next;
		free(message);
		if (written < 0)
			return -1;
	}
	if (session->first)
		lws_callback_on_writable(wsi);
	else
		session->end = &session->first;
	return 0;
}

static int echo(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t length)
{
	struct session *session = user;

	switch (reason) {
	case LWS_CALLBACK_ESTABLISHED:
		session->first = session->partial = NULL;
		session->end = &session->first;
		break;
	case LWS_CALLBACK_RECEIVE:
		return take(wsi, session, in, length);
	case LWS_CALLBACK_SERVER_WRITEABLE:
		return write_all(wsi, session);
	case LWS_CALLBACK_CLOSED:
		while (session->first) {
			struct message *message = session->first;

			session->first = message->next;
			free(message);
		}
		free(session->partial);
		break;
	default:
		break;
	}
	return 0;
}

static const struct lws_protocols protocols[] = {
	{ "default", echo, sizeof(struct session), READ_SIZE, 0, NULL, 0 },
	{ NULL, NULL, 0, 0, 0, NULL, 0 },
};

int main(int count, char **arguments)
{
	struct lws_context_creation_info info;
	struct lws_context *context;

	if (count != 2)
		return 2;
	memset(&info, 0, sizeof(info));
	info.port = atoi(arguments[1]);
	info.iface = "127.0.0.1";
	info.protocols = protocols;
	info.pt_serv_buf_size = READ_SIZE;
	lws_set_log_level(LLL_ERR, NULL);
	context = lws_create_context(&info);
	if (!context)
		return 1;
	while (lws_service(context, 0) >= 0)
		;
	lws_context_destroy(context);
	return 0;
}
