/* Running an action that a job has prepared: a command in one of its allocations, which that one's node knows. */
#include <string.h>

#include "proto/error.h"
#include "server/api_handlers.h"

static const char *param(const struct http_request *req, const char *name)
{
	const char *value = http_query(req, name);

	return value != NULL ? value : "";
}

static const struct task *find_task(const struct task_group *g, const char *name)
{
	for (uint32_t i = 0; i < g->tasks.n; i++) {
		if (strcmp(g->tasks.at[i].name, name) == 0) {
			return &g->tasks.at[i];
		}
	}
	return NULL;
}

static bool has_action(const struct task *t, const char *name)
{
	for (uint32_t i = 0; i < t->actions.n; i++) {
		if (strcmp(t->actions.at[i].name, name) == 0) {
			return true;
		}
	}
	return false;
}

/* Whether the allocation's job has it, in the task and, if one is named, the group. */
static bool offers(const struct alloc_row *row, struct http_request *req)
{
	const char *group = param(req, "group");
	const struct task *t;
	struct job job;

	if ((group[0] != '\0' && strcmp(group, alloc_row_group(row)) != 0) || job_row_get(row->job, &job, &req->mem) != 0 ||
	    row->group >= job.task_groups.n) {
		return false;
	}
	t = find_task(&job.task_groups.at[row->group], param(req, "task"));
	return t != NULL && has_action(t, param(req, "action"));
}

/* The allocation that is named, or any that runs and has the action; NULL, and why. */
static const struct alloc_row *pick(const struct view *v, const struct job_row *job, struct http_request *req,
				    const char **why)
{
	const char *named = param(req, "allocID");
	const struct alloc_row *row;
	struct uuid id = {0};
	struct rows r;

	*why = arena_printf(&req->mem, "action %s not found", param(req, "action"));
	if (named[0] != '\0' && !uuid_parse(named, strlen(named), &id)) {
		*why = arena_printf(&req->mem, "Invalid UUID: %s", named);
		return NULL;
	}
	rows_allocs_of_job(&r, v, job);
	while ((row = alloc_next(&r)) != NULL) {
		if (named[0] != '\0' ? uuid_equal(&row->id, &id)
				     : row->client == ALLOC_CLIENT_RUNNING && offers(row, req)) {
			return row;
		}
	}
	if (named[0] != '\0') {
		*why = arena_printf(&req->mem, "alloc not found: %s", named);
	}
	return NULL;
}

/* As a request for the allocation, with the same query: its node knows `action`. */
static int make_exec(struct http_request *req, const struct uuid *alloc)
{
	const char *path = arena_printf(&req->mem, "/v1/client/allocation/%s/exec", uuid_text(&req->mem, alloc));

	if (path == NULL) {
		return ERR_NOMEM;
	}
	req->path = path;
	req->path_len = (uint32_t)strlen(path);
	return 0;
}

void serve_job_action(struct api *api, struct http_request *req)
{
	const char *ns = param(req, "namespace");
	const struct view *v = api->link->ops->view(api->link);
	const struct job_row *job = state_job(v, ns[0] != '\0' ? ns : "default", req->params[0]);
	const struct alloc_row *row = NULL;
	const char *why = "job not found";
	const char *node = NULL;

	if (job != NULL && param(req, "action")[0] != '\0') {
		row = pick(v, job, req, &why);
	} else if (job != NULL) {
		why = "action name is required";
	}
	if (row != NULL) {
		node = make_exec(req, &row->id) == 0 ? uuid_text(&req->mem, &row->node_id) : NULL;
	}
	view_release(v);
	if (row == NULL) {
		http_answer_text(req, job != NULL && param(req, "action")[0] == '\0' ? 400 : 404, "%s",
				 why != NULL ? why : "out of memory");
	} else if (node == NULL) {
		http_answer_error(req, ERR_NOMEM);
	} else {
		api_forward(api, req, CORE_TO_NODE, node);
	}
}
