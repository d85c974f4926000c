#include "server/api_answer.h"

#include <string.h>

#include "proto/error.h"

static void answer_fault(struct http_request *req, int rv, const struct fault *f)
{
	if (rv == ERR_NOMEM) {
		http_answer_error(req, rv);
	} else if (f->path[0] != '\0') {
		http_answer_text(req, 400, "json: cannot decode the body at %s: %s", f->path, f->why);
	} else {
		http_answer_text(req, 400, "json: cannot decode the body: %s", f->why);
	}
}

/* "null" leaves all defaults, as it does for members. */
static bool is_null(const struct http_request *req)
{
	size_t begin = strspn(req->body, " \t\r\n");
	size_t rest = req->body_len - begin;

	return rest >= 4 && memcmp(req->body + begin, "null", 4) == 0 &&
	       strspn(req->body + begin + 4, " \t\r\n") == rest - 4;
}

int body_decode(struct http_request *req, const struct type *t, void *obj, enum body_need need, bool *given)
{
	struct fault fault = {"", ""};
	int rv;

	if (given != NULL) {
		*given = req->body_len > 0;
	}
	object_init(t, obj);
	if (req->body_len == 0) {
		if (need == BODY_REQUIRED) {
			http_answer_text(req, 400, "Request body is empty");
			return ERR_INVALID;
		}
		return 0;
	}
	if (is_null(req)) {
		return 0;
	}
	rv = json_decode(t, obj, req->body, req->body_len, &req->mem, &fault);
	if (rv != 0) {
		answer_fault(req, rv, &fault);
	}
	return rv;
}

int api_uuid(const char *text, struct uuid *out, const char **why)
{
	size_t len = strlen(text);

	if (uuid_parse(text, len, out)) {
		return 0;
	}
	*why = len != UUID_TEXT - 1 ? "UUID must be 36 characters" : "Invalid UUID";
	return ERR_INVALID;
}

int path_uuid(struct http_request *req, unsigned param, struct uuid *out)
{
	const char *why;
	int rv = api_uuid(req->params[param], out, &why);

	if (rv != 0) {
		http_answer_text(req, 500, "%s: %s", why, req->params[param]);
	}
	return rv;
}

void answer_object(struct http_request *req, const struct type *t, const void *obj, uint64_t index)
{
	struct buf b = {0};

	json_encode(t, obj, &b);
	http_answer_json(req, &b, index);
}

const char *uuid_text(struct arena *mem, const struct uuid *id)
{
	char text[UUID_TEXT];
	const char *copy;

	uuid_format(id, text);
	copy = arena_strdup(mem, text);
	return copy != NULL ? copy : "";
}
