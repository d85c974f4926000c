#include "proto/logstream.h"

#include "proto/error.h"
#include "proto/object.h"

enum { FRAME_BYTES = 32 << 10 };

#define LOG_FRAME_FIELDS(X, T) X(T, BYTES, data, "Data")
OBJECT_DECLARE(log_frame, LOG_FRAME_FIELDS);
OBJECT_DEFINE(log_frame, LOG_FRAME_FIELDS);

/* False: answered. "" is no word. */
static bool get_option(struct http_request *req, const char *name, const char *told, bool *out)
{
	const char *text = http_query(req, name);

	if (text == NULL || text[0] == '\0' || http_query_bool(req, name, out) == 0) {
		return true;
	}
	http_answer_text(req, 400, "Unknown option for %s: strconv.ParseBool: parsing \"%.200s\": invalid syntax", told,
			 text);
	return false;
}

int log_stream_begin(struct log_stream *s, struct http_request *req)
{
	struct http_response head = {.type = "application/json"};
	const char *level_text = http_query(req, "log_level");
	enum log_level level = LOG_INFO;
	bool json = false;
	bool location = false; /* Ours tells none, but what is said of it has to be right. */

	if (!get_option(req, "log_json", "log json", &json) || !get_option(req, "plain", "plain", &s->plain) ||
	    !get_option(req, "log_include_location", "log_include_location", &location)) {
		return ERR_INVALID;
	}
	if (level_text != NULL && level_text[0] != '\0' && (!log_level_parse(level_text, &level) || level == LOG_OFF)) {
		http_answer_text(req, 400, "Unknown log level: %s", level_text);
		return ERR_INVALID;
	}
	s->tap = log_tap_open(level, json);
	if (s->tap == NULL) {
		http_answer_error(req, ERR_NOMEM);
		return ERR_NOMEM;
	}
	if (s->plain) {
		head.type = "text/plain; charset=utf-8";
	}
	s->req = req;
	s->quiet_ms = LOG_STREAM_HEARTBEAT_MS; /* The head leaves with the first heartbeat. */
	http_stream_begin(req, &head);
	return 0;
}

static void put_frames(struct buf *out, const char *at, size_t len)
{
	while (len > 0) {
		size_t n = len < FRAME_BYTES ? len : FRAME_BYTES;
		const struct log_frame frame = {{(const uint8_t *)at, (uint32_t)n}};

		json_encode(&log_frame_type, &frame, out);
		buf_byte(out, '\n');
		at += n;
		len -= n;
	}
}

/* Plain text has no heartbeat: an empty line in a log would be one too many. */
static bool heartbeat_due(struct log_stream *s)
{
	s->quiet_ms += LOG_STREAM_STEP_MS;
	return !s->plain && s->quiet_ms >= LOG_STREAM_HEARTBEAT_MS;
}

int log_stream_step(struct log_stream *s)
{
	struct buf lines = {0};
	struct buf out = {0};
	uint64_t dropped;
	int rv = 0;

	if (s->waiting) {
		return 0;
	}
	dropped = log_tap_take(s->tap, &lines);
	if (dropped > 0) {
		buf_printf(&lines, "[WARN]  monitor: %llu lines were dropped, as they were not read in time\n",
			   (unsigned long long)dropped);
	}
	if (lines.len > 0 && !s->plain) {
		put_frames(&out, lines.at, lines.len);
	} else if (lines.len > 0) {
		buf_put(&out, lines.at, lines.len);
	} else if (heartbeat_due(s)) {
		buf_str(&out, "{}\n");
	}
	if (out.len > 0) {
		s->quiet_ms = 0;
		rv = http_stream_write(s->req, out.at, out.len);
	}
	rv = lines.failed || out.failed ? ERR_NOMEM : rv;
	buf_close(&lines);
	buf_close(&out);
	s->waiting = rv == HTTP_WAIT;
	return rv < 0 ? ERR_CLOSED : 0;
}

void log_stream_end(struct log_stream *s, bool whole)
{
	struct http_request *req = s->req;

	log_tap_close(s->tap);
	s->tap = NULL;
	s->req = NULL;
	req->gone_cb = NULL;
	req->drain_cb = NULL;
	http_stream_end(req, whole);
}
