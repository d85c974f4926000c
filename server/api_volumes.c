/* Volumes and plugins of storage, of which there are none, and what else is not there. */
#include "proto/error.h"
#include "server/api_handlers.h"

/* ---- lists ---- */

/* A table that nobody has ever written: its index is 0, and a query that blocks on it waits its whole time. */
static int find_nothing(struct query *q)
{
	(void)q;
	return 0;
}

static int render_nothing(struct query *q, struct buf *out)
{
	(void)q;
	buf_str(out, "[]");
	return 0;
}

#define NOTHING {.find = find_nothing, .render = render_nothing}
const struct query_kind query_volumes = NOTHING;
const struct query_kind query_volume_claims = NOTHING;
const struct query_kind query_plugins = NOTHING;

/* ---- what is asked of none ---- */

void serve_volume(struct api *api, struct http_request *req)
{
	(void)api;
	if (req->method == HTTP_GET || req->method == HTTP_DELETE) {
		http_answer_text(req, 404, "volume not found");
	} else {
		http_answer_text(req, 501, "volumes of CSI plugins and host volume plugins are not supported");
	}
}

void serve_volumes_put(struct api *api, struct http_request *req)
{
	(void)api;
	http_answer_text(req, 501, "volumes of CSI plugins and host volume plugins are not supported");
}

void serve_volumes_external(struct api *api, struct http_request *req)
{
	(void)api;
	http_answer_text(req, 404, "plugin not found");
}

void serve_volumes_snapshot(struct api *api, struct http_request *req)
{
	(void)api;
	http_answer_text(req, 404, "plugin not found");
}

void serve_volume_claim(struct api *api, struct http_request *req)
{
	(void)api;
	http_answer_text(req, 404, "volume claim not found");
}

void serve_plugin(struct api *api, struct http_request *req)
{
	(void)api;
	http_answer_text(req, 404, "plugin not found");
}

/* ---- the rest ---- */

void serve_client_identity(struct api *api, struct http_request *req)
{
	(void)api;
	http_answer_text(req, 501, "nodes have no identities here: they are known by their secret IDs");
}

void serve_client_identity_renew(struct api *api, struct http_request *req)
{
	serve_client_identity(api, req);
}

/* Of the enterprise edition, and what it answers without that. */
void serve_client_alloc_pause(struct api *api, struct http_request *req)
{
	(void)api;
	http_answer_text(req, 500, "Enterprise only");
}

/* There is no Vault here, so nothing of a job depends on its old tokens. */
void serve_upgrade_check_vault(struct api *api, struct http_request *req)
{
	struct buf b = {0};

	(void)api;
	buf_str(&b, "{\"JobsWithoutVaultIdentity\":[],\"OutdatedNodes\":[],\"VaultTokens\":[]}");
	http_answer_json(req, &b, 0);
}
