/**
 * An agent's log as an answer that does not end: what /v1/agent/monitor is on servers and on clients.
 *
 * Frames are JSON objects one behind the other, {"Data":"..."} with lines in base64, and {} when nothing happens; with
 * ?plain=true the lines as they are. The owner calls log_stream_step() every LOG_STREAM_STEP_MS.
 */
#ifndef PROTO_LOGSTREAM_H_
#define PROTO_LOGSTREAM_H_

#include "lib/log.h"
#include "proto/http.h"

enum { LOG_STREAM_STEP_MS = 100, LOG_STREAM_HEARTBEAT_MS = 10000 };

/* Zeroed before it begins. */
struct log_stream {
	struct http_request *req;
	struct log_tap *tap;
	bool plain;
	bool waiting;      /* The client is to read first: the owner clears it in the request's drain_cb. */
	unsigned quiet_ms; /* Since something was sent. */
};

/* Begin to answer. 0, or the request has been answered with what is wrong. The owner has set the request's callbacks, and
 * ends the stream when its client leaves. */
int log_stream_begin(struct log_stream *s, struct http_request *req);

/* Send what there is. 0, or ERR_CLOSED: the owner is to end it. */
int log_stream_step(struct log_stream *s);

/* The request is gone afterwards. */
void log_stream_end(struct log_stream *s, bool whole);

#endif /* PROTO_LOGSTREAM_H_ */
