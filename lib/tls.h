/**
 * TLS contexts out of files, for servers and clients, that can be replaced while connections live.
 *
 * A struct tls is one set of files: certificates of the authorities we believe, our own certificate and its key. It has a
 * context for the accepting side and one for the connecting side. tls_reload() reads the files again: connections that are
 * made from then on use what they say now, older ones keep what they began with. Any thread may ask for a context or
 * reload at any time.
 *
 * Who checks the names of peers is the caller (proto/channel.h, the HTTP client); a chain up to an authority is checked
 * here, on the connecting side always, on the accepting one as `clients` says.
 */
#ifndef LIB_TLS_H_
#define LIB_TLS_H_

#include <stdbool.h>
#include <stddef.h>

#include <openssl/ssl.h>

enum tls_clients {
	TLS_CLIENTS_ANY,   /* A certificate of who connects is neither asked for nor looked at. */
	TLS_CLIENTS_KNOWN, /* Who connects must have a certificate by one of ca_file's authorities. */
};

/* Paths and texts; NULL and "" are none. */
struct tls_config {
	const char *ca_file;       /* PEM, one or more; without any authority, the machine's own are believed. */
	const char *ca_path;       /* A directory of them, as "openssl rehash" makes it. */
	const char *cert_file;     /* PEM: our certificate, with what stands between it and an authority behind it. */
	const char *key_file;      /* Its key; both or none. Without, there is no accepting side. */
	const char *min_version;   /* "tls10" to "tls13"; the default is tls12. */
	const char *cipher_suites; /* Standard names (TLS_ECDHE_...) with commas between; the default is OpenSSL's. */
	bool prefer_server;        /* Of cipher suites that both sides have, the accepting side chooses. */
	enum tls_clients clients;
	const char *alpn; /* Static: the one protocol that is spoken, for clients who ask ("http/1.1"). */
	bool resume; /* Sessions may be resumed. Then a peer's certificate is not checked again for hours. */
};

struct tls;

enum { TLS_WHY = 512 };

/* The configuration is copied. NULL, with file and reason in `why`, of at least TLS_WHY bytes. Blocks: it reads files. */
struct tls *tls_new(const struct tls_config *config, char *why);

/* 0; or -1, with file and reason in `why`, and all is as it was. Blocks. */
int tls_reload(struct tls *t, char *why);

void tls_free(struct tls *t); /* NULL is harmless. Contexts that were given away live on. */

/* The contexts of now, with a reference for the caller: SSL_CTX_free(). tls_server() is NULL when there is no certificate
 * of our own. They must not be changed. */
SSL_CTX *tls_server(struct tls *t);
SSL_CTX *tls_client(struct tls *t);

/* "CN=server.global.nomad, until 2027-11-22 08:15 UTC": the certificate of now; "no certificate". */
void tls_about(struct tls *t, char *text, size_t size);

/* What configurations are checked with: a known version or ""; a list of known suites or "". `bad` is the first name that
 * is not. */
bool tls_version_known(const char *text);
bool tls_suites_known(const char *text, char *bad, size_t size);

/* The newest error of OpenSSL on this thread, for people; its queue is empty then. */
void tls_error_text(char *text, size_t size);

/* Why a handshake or a read on `ssl` failed (the result was -1 or 0): what is wrong with the peer's certificate, else as
 * above. */
void tls_fault_text(SSL *ssl, char *text, size_t size);

#endif /* LIB_TLS_H_ */
