/* The files that tls { } names, and the secret of server { encrypt }. */
#include <stdio.h>
#include <string.h>

#include <openssl/crypto.h>

#include "cli/agent_parts.h"
#include "lib/log.h"
#include "lib/tls.h"
#include "proto/channel.h"
#include "proto/error.h"

static struct tls_config common(const struct agent_tls *t)
{
	return (struct tls_config){
		.ca_file = t->ca_file,
		.cert_file = t->cert_file,
		.key_file = t->key_file,
		.min_version = t->tls_min_version,
		.cipher_suites = t->tls_cipher_suites,
		.prefer_server = t->tls_prefer_server_cipher_suites,
	};
}

static struct tls *open_http(const struct agent_tls *t, char *why)
{
	struct tls_config config = common(t);

	config.clients = t->verify_https_client ? TLS_CLIENTS_KNOWN : TLS_CLIENTS_ANY;
	config.resume = true;
	config.alpn = "http/1.1";
	return tls_new(&config, why);
}

/* A session that is resumed would not be checked against the authorities of now, and connections are few and long. */
static struct tls *open_rpc(const struct agent_tls *t, char *why)
{
	struct tls_config config = common(t);

	config.clients = TLS_CLIENTS_KNOWN;
	return tls_new(&config, why);
}

static int fail(const char *reason, char why[AGENT_WHY])
{
	snprintf(why, AGENT_WHY, "tls.%.480s", reason);
	return ERR_INVALID;
}

int agent_secrets_open(const struct agent_config *config, struct agent_secrets *out, char why[AGENT_WHY])
{
	char reason[TLS_WHY];

	*out = (struct agent_secrets){0};
	if (config->tls->http) {
		out->http = open_http(config->tls, reason);
		if (out->http == NULL) {
			return fail(reason, why);
		}
	}
	if (config->tls->rpc) {
		out->rpc = open_rpc(config->tls, reason);
		if (out->rpc == NULL) {
			return fail(reason, why);
		}
		tls_about(out->rpc, reason, sizeof(reason));
		log_info("agent", "RPC is in TLS%s, with the certificate of %s",
			 config->tls->rpc_upgrade_mode ? " and in plain text" : "", reason);
	}
	out->key_len = config_encrypt_key(config->server->encrypt, out->key);
	return 0;
}

int agent_secrets_channels(const struct agent_secrets *s, const struct agent_config *config, struct channels **out)
{
	const struct channels_config channels = {.tls = s->rpc,
						 .upgrade = config->tls->rpc_upgrade_mode,
						 .verify_names = config->tls->verify_server_hostname,
						 .region = config->region,
						 .secret = s->key,
						 .secret_len = s->key_len};

	*out = s->rpc != NULL || s->key_len > 0 ? channels_new(&channels) : NULL;
	return *out == NULL && (s->rpc != NULL || s->key_len > 0) ? ERR_NOMEM : 0;
}

static void reload(struct tls *tls, const char *what)
{
	char text[TLS_WHY];

	if (tls == NULL) {
		return;
	}
	if (tls_reload(tls, text) != 0) {
		log_error("agent", "SIGHUP: %s: the certificate stays as it was: tls.%s", what, text);
		return;
	}
	tls_about(tls, text, sizeof(text));
	log_info("agent", "SIGHUP: %s: new connections use the certificate of %s", what, text);
}

void agent_secrets_reload(struct agent_secrets *s)
{
	reload(s->http, "HTTP");
	reload(s->rpc, "RPC");
}

void agent_secrets_close(struct agent_secrets *s)
{
	tls_free(s->http);
	tls_free(s->rpc);
	OPENSSL_cleanse(s->key, sizeof(s->key));
	*s = (struct agent_secrets){0};
}
