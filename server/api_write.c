#include "server/api_write.h"

#include <string.h>

#include "proto/error.h"

void write_failed(struct api *api, struct http_request *req, int err, bool once)
{
	bool again = !once && !req->body_spared && req->route->consistency == HTTP_LEADER;

	if (err == ERR_NOTLEADER && again) {
		api_to_leader(api, req);
	} else if (err == ERR_NOTLEADER && !once) {
		http_answer_not_done(req, ERR_NOLEADER); /* Who has passed it on still has the body. */
	} else if (err == ERR_NOTLEADER) {
		http_answer_error(req, ERR_NOLEADER);
	} else if (err == ERR_CLOSED && !once) {
		http_answer_stopping(req);
	} else {
		http_answer_error(req, err);
	}
}

static void write_done(struct core_call *call)
{
	struct write *w = CONTAINER_OF(call, struct write, core.call);
	struct api *api = w->api;

	buf_close(&w->command);
	if (call->status != 0) {
		write_failed(api, w->req, call->status, w->once);
	} else {
		w->answer_cb(w, &w->core.result);
	}
	api_rearm(api);
}

struct write *write_new(struct api *api, struct http_request *req)
{
	struct write *w = arena_calloc(&req->mem, 1, sizeof(*w));
	const char *ns = http_query(req, "namespace");

	if (w == NULL) {
		http_answer_error(req, ERR_NOMEM);
		return NULL;
	}
	w->api = api;
	w->req = req;
	w->ns = ns != NULL && ns[0] != '\0' ? ns : "default";
	return w;
}

void write_propose(struct write *w, enum command type, const void *payload,
		   void (*answer_cb)(struct write *w, const struct apply_result *result))
{
	int rv = command_encode(type, payload, &w->command);

	if (rv != 0) {
		buf_close(&w->command);
		http_answer_error(w->req, rv);
		return;
	}
	w->answer_cb = answer_cb;
	w->core.call.done_cb = write_done;
	w->core.command = w->command.at;
	w->core.len = w->command.len;
	w->api->link->ops->write(w->api->link, &w->core);
}

bool write_refused_as(struct write *w, const struct apply_result *result, int missing_status)
{
	int status = result->status == ERR_NOTFOUND ? missing_status : 500;

	if (result->status != 0) {
		http_answer_text(w->req, status, "%s",
				 result->text[0] != '\0' ? result->text : error_text(result->status));
	}
	return result->status != 0;
}

bool write_refused(struct write *w, const struct apply_result *result)
{
	return write_refused_as(w, result, 500);
}

void answer_removed(struct write *w, const struct apply_result *result)
{
	const char *region = api_info(w->api)->region;
	struct buf reasons = {0};
	unsigned n = 0;

	if (result->status != ERR_CONFLICT) {
		if (!write_refused(w, result)) {
			http_answer_json(w->req, &(struct buf){0}, result->index);
		}
		return;
	}
	for (const char *at = result->text; *at != '\0'; n++) {
		size_t len = strcspn(at, "\n");

		buf_printf(&reasons, "\t* %.*s in regions: [%s]\n", (int)len, at, region);
		at += len + (at[len] == '\n');
	}
	http_answer_text(w->req, 500, "%u error%s occurred:\n%s\n", n, n == 1 ? "" : "s", buf_text(&reasons));
	buf_close(&reasons);
}
