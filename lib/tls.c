#include "lib/tls.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "lib/log.h"

enum {
	FILE_MAX = 1 << 20,
	SUITES_MAX = 64,
	SUITE_NAME = 96,
	SESSIONS_MAX = 1024, /* Of clients that take no tickets. */
};

struct tls {
	struct tls_config config; /* Its texts are ours. */
	pthread_mutex_t lock;     /* Of what follows. */
	SSL_CTX *server;
	SSL_CTX *client;
	X509 *cert;
};

/* One reading of the files. */
struct loaded {
	STACK_OF(X509) *authorities;
	STACK_OF(X509) *chain; /* Ours first. */
	EVP_PKEY *key;
};

/* ---- texts ---- */

static bool given(const char *text)
{
	return text != NULL && text[0] != '\0';
}

void tls_error_text(char *text, size_t size)
{
	unsigned long code = ERR_peek_last_error();
	const char *reason = code != 0 ? ERR_reason_error_string(code) : NULL;

	if (reason != NULL) {
		snprintf(text, size, "%s", reason);
	} else {
		snprintf(text, size, "%s", code != 0 ? "an error of OpenSSL" : "closed");
	}
	ERR_clear_error();
}

void tls_fault_text(SSL *ssl, char *text, size_t size)
{
	long verdict = SSL_get_verify_result(ssl);

	if (verdict != X509_V_OK) {
		snprintf(text, size, "the certificate of the other side: %s", X509_verify_cert_error_string(verdict));
		ERR_clear_error();
	} else {
		tls_error_text(text, size);
	}
}

/* ---- versions and suites ---- */

static int version_of(const char *text)
{
	static const struct {
		const char *name;
		int version;
	} versions[] = {{"tls10", TLS1_VERSION}, {"tls11", TLS1_1_VERSION}, {"tls12", TLS1_2_VERSION}, {"tls13", TLS1_3_VERSION}};
	size_t i;

	if (!given(text)) {
		return TLS1_2_VERSION;
	}
	for (i = 0; i < sizeof(versions) / sizeof(versions[0]); i++) {
		if (strcmp(versions[i].name, text) == 0) {
			return versions[i].version;
		}
	}
	return 0;
}

bool tls_version_known(const char *text)
{
	return version_of(text) != 0;
}

/* OpenSSL's name of a suite; some standard names are in use without their end. NULL: there is none. */
static const char *suite_name(const char *name)
{
	char longer[SUITE_NAME + 8];
	const char *found = OPENSSL_cipher_name(name);

	if (strcmp(found, "(NONE)") == 0) {
		snprintf(longer, sizeof(longer), "%s_SHA256", name);
		found = OPENSSL_cipher_name(longer);
	}
	return strcmp(found, "(NONE)") == 0 ? NULL : found;
}

static void append(char *list, size_t size, const char *name)
{
	size_t used = strlen(list);

	snprintf(list + used, size - used, "%s%s", used > 0 ? ":" : "", name);
}

/* Those of TLS 1.3 are a list of their own. False: `bad` is unknown. */
static bool sort_suites(const char *text, char *old, char *new, size_t size, char *bad, size_t bad_size)
{
	unsigned n = 0;

	old[0] = new[0] = '\0';
	while (*text != '\0') {
		size_t len = strcspn(text, ",");
		char name[SUITE_NAME];
		const char *known;

		while (len > 0 && *text == ' ') {
			text++;
			len--;
		}
		snprintf(name, sizeof(name), "%.*s", (int)(len < SUITE_NAME ? len : SUITE_NAME), text);
		name[strcspn(name, " ")] = '\0';
		known = suite_name(name);
		if (known == NULL || ++n > SUITES_MAX) {
			snprintf(bad, bad_size, "%s", name);
			return false;
		}
		append(strncmp(known, "TLS_", 4) == 0 ? new : old, size, known);
		text += len;
		text += *text == ',';
	}
	return true;
}

bool tls_suites_known(const char *text, char *bad, size_t size)
{
	char old[SUITES_MAX * SUITE_NAME];
	char new[SUITES_MAX * SUITE_NAME];

	return !given(text) || sort_suites(text, old, new, sizeof(old), bad, size);
}

static int set_suites(SSL_CTX *ctx, const char *text, char *why)
{
	char old[SUITES_MAX * SUITE_NAME];
	char new[SUITES_MAX * SUITE_NAME];
	char bad[SUITE_NAME];

	if (!given(text)) {
		return 0;
	}
	if (!sort_suites(text, old, new, sizeof(old), bad, sizeof(bad))) {
		snprintf(why, TLS_WHY, "tls_cipher_suites: \"%s\" is not a cipher suite", bad);
		return -1;
	}
	if ((old[0] != '\0' && SSL_CTX_set_cipher_list(ctx, old) != 1) ||
	    (new[0] != '\0' && SSL_CTX_set_ciphersuites(ctx, new) != 1)) {
		tls_error_text(bad, sizeof(bad));
		snprintf(why, TLS_WHY, "tls_cipher_suites: %s", bad);
		return -1;
	}
	return 0;
}

/* ---- files ---- */

static int fault(char *why, const char *key, const char *path, const char *reason)
{
	snprintf(why, TLS_WHY, "%s: %.300s: %s", key, path, reason);
	return -1;
}

static int openssl_fault(char *why, const char *key, const char *path)
{
	char reason[128];

	tls_error_text(reason, sizeof(reason));
	return fault(why, key, path, reason);
}

/* The whole file, in memory that is wiped by BIO_free() of what is returned. NULL, with a text in `why`. */
static BIO *read_file(const char *key, const char *path, char *why)
{
	FILE *f = fopen(path, "re");
	char *text = f != NULL ? malloc(FILE_MAX) : NULL;
	BIO *bio = NULL;
	size_t n;

	if (text == NULL) {
		fault(why, key, path, strerror(errno));
		goto out;
	}
	setvbuf(f, NULL, _IONBF, 0); /* No copy of a key stays behind. */
	n = fread(text, 1, FILE_MAX, f);
	if (ferror(f) || n == FILE_MAX || n == 0) {
		fault(why, key, path, ferror(f) ? strerror(errno) : n == 0 ? "empty" : "too large");
	} else if ((bio = BIO_new(BIO_s_secmem())) == NULL || BIO_write(bio, text, (int)n) != (int)n) {
		BIO_free(bio);
		bio = NULL;
		fault(why, key, path, "out of memory");
	}
	OPENSSL_cleanse(text, n);
out:
	free(text);
	if (f != NULL) {
		fclose(f);
	}
	return bio;
}

/* All certificates of a file; NULL, with a text in `why`, when there is none or one cannot be read. */
static STACK_OF(X509) *read_certs(const char *key, const char *path, char *why)
{
	STACK_OF(X509) *all = NULL;
	BIO *bio = read_file(key, path, why);
	X509 *x;

	if (bio == NULL) {
		return NULL;
	}
	all = sk_X509_new_null();
	while (all != NULL && (x = PEM_read_bio_X509_AUX(bio, NULL, NULL, NULL)) != NULL) {
		sk_X509_push(all, x);
	}
	BIO_free(bio);
	if (all == NULL || sk_X509_num(all) == 0 || ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE) {
		openssl_fault(why, key, path);
		sk_X509_pop_free(all, X509_free);
		return NULL;
	}
	ERR_clear_error(); /* The file's end. */
	return all;
}

static int no_passphrase(char *buf, int size, int rwflag, void *told)
{
	(void)buf;
	(void)size;
	(void)rwflag;
	*(bool *)told = true;
	return -1;
}

static void warn_of_mode(const char *path)
{
	struct stat st;

	if (stat(path, &st) == 0 && (st.st_mode & 077) != 0) {
		log_warn("tls", "key_file: %s: others than its owner have rights to it (mode %03o): 0600 is better", path,
			 (unsigned)(st.st_mode & 0777));
	}
}

static EVP_PKEY *read_key(const char *path, char *why)
{
	BIO *bio = read_file("key_file", path, why);
	bool locked = false;
	EVP_PKEY *key;

	if (bio == NULL) {
		return NULL;
	}
	warn_of_mode(path);
	key = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, &locked);
	BIO_free(bio);
	if (key == NULL && locked) {
		fault(why, "key_file", path, "it needs a passphrase");
		ERR_clear_error();
	} else if (key == NULL) {
		openssl_fault(why, "key_file", path);
	}
	return key;
}

static void loaded_close(struct loaded *l)
{
	sk_X509_pop_free(l->authorities, X509_free);
	sk_X509_pop_free(l->chain, X509_free);
	EVP_PKEY_free(l->key);
}

static int load_files(const struct tls_config *c, struct loaded *l, char *why)
{
	if (given(c->ca_file) && (l->authorities = read_certs("ca_file", c->ca_file, why)) == NULL) {
		return -1;
	}
	if (given(c->cert_file) != given(c->key_file)) {
		snprintf(why, TLS_WHY, "cert_file and key_file go together: one of them is missing");
		return -1;
	}
	if (!given(c->cert_file)) {
		return 0;
	}
	l->chain = read_certs("cert_file", c->cert_file, why);
	l->key = l->chain != NULL ? read_key(c->key_file, why) : NULL;
	if (l->key == NULL) {
		return -1;
	}
	if (X509_check_private_key(sk_X509_value(l->chain, 0), l->key) != 1) {
		ERR_clear_error();
		return fault(why, "key_file", c->key_file, "not the key of the certificate in cert_file");
	}
	if (X509_cmp_current_time(X509_get0_notAfter(sk_X509_value(l->chain, 0))) < 0) {
		log_warn("tls", "cert_file: %s: the certificate has expired", c->cert_file);
	}
	return 0;
}

/* ---- contexts ---- */

static int trust(SSL_CTX *ctx, const struct tls_config *c, const struct loaded *l, char *why)
{
	X509_STORE *store = SSL_CTX_get_cert_store(ctx);
	int i;

	for (i = 0; i < sk_X509_num(l->authorities); i++) {
		if (X509_STORE_add_cert(store, sk_X509_value(l->authorities, i)) != 1 ||
		    SSL_CTX_add_client_CA(ctx, sk_X509_value(l->authorities, i)) != 1) {
			return openssl_fault(why, "ca_file", c->ca_file);
		}
	}
	if (given(c->ca_path) && SSL_CTX_load_verify_dir(ctx, c->ca_path) != 1) {
		return openssl_fault(why, "ca_path", c->ca_path);
	}
	if (!given(c->ca_file) && !given(c->ca_path)) {
		(void)SSL_CTX_set_default_verify_paths(ctx); /* Without any, nobody is believed. */
	}
	return 0;
}

static int show(SSL_CTX *ctx, const struct tls_config *c, const struct loaded *l, char *why)
{
	int i;

	if (l->key == NULL) {
		return 0;
	}
	if (SSL_CTX_use_certificate(ctx, sk_X509_value(l->chain, 0)) != 1) {
		return openssl_fault(why, "cert_file", c->cert_file);
	}
	if (SSL_CTX_use_PrivateKey(ctx, l->key) != 1) {
		return openssl_fault(why, "key_file", c->key_file);
	}
	for (i = 1; i < sk_X509_num(l->chain); i++) {
		if (SSL_CTX_add1_chain_cert(ctx, sk_X509_value(l->chain, i)) != 1) {
			return openssl_fault(why, "cert_file", c->cert_file);
		}
	}
	return 0;
}

static void set_resumption(SSL_CTX *ctx, const struct tls_config *c)
{
	static const unsigned char id[] = "drover";

	if (c->resume) {
		(void)SSL_CTX_set_session_id_context(ctx, id, sizeof(id) - 1);
		(void)SSL_CTX_sess_set_cache_size(ctx, SESSIONS_MAX);
		return;
	}
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
	(void)SSL_CTX_set_num_tickets(ctx, 0);
}

/* Who does not know ours is not refused: most say h2 and mean both. */
static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *len, const unsigned char *in,
			   unsigned in_len, void *ours)
{
	unsigned n = (unsigned)strlen(ours);

	(void)ssl;
	for (unsigned at = 0; at + 1 + in[at] <= in_len; at += 1u + in[at]) {
		if (in[at] == n && memcmp(in + at + 1, ours, n) == 0) {
			*out = in + at + 1;
			*len = in[at];
			return SSL_TLSEXT_ERR_OK;
		}
	}
	return SSL_TLSEXT_ERR_NOACK;
}

static void set_options(SSL_CTX *ctx, const struct tls_config *c)
{
	int version = version_of(c->min_version);

	(void)SSL_CTX_set_min_proto_version(ctx, version);
	if (version < TLS1_2_VERSION) {
		SSL_CTX_set_security_level(ctx, 0); /* Nothing older works with OpenSSL's default. */
	}
	SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
	if (given(c->alpn)) {
		SSL_CTX_set_alpn_select_cb(ctx, choose_protocol, (void *)(size_t)c->alpn);
	}
	if (c->prefer_server) {
		SSL_CTX_set_options(ctx, SSL_OP_CIPHER_SERVER_PREFERENCE);
	}
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
			      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
}

static SSL_CTX *make_context(const struct tls_config *c, const struct loaded *l, bool server, char *why)
{
	SSL_CTX *ctx = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
	int verify = SSL_VERIFY_PEER;

	if (ctx == NULL) {
		snprintf(why, TLS_WHY, "out of memory");
		return NULL;
	}
	if (server) {
		verify = c->clients == TLS_CLIENTS_ANY ? SSL_VERIFY_NONE
						       : SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
	}
	SSL_CTX_set_verify(ctx, verify, NULL);
	set_options(ctx, c);
	set_resumption(ctx, c);
	if (trust(ctx, c, l, why) != 0 || show(ctx, c, l, why) != 0 || set_suites(ctx, c->cipher_suites, why) != 0) {
		SSL_CTX_free(ctx);
		return NULL;
	}
	return ctx;
}

/* ---- sets ---- */

static int check(const struct tls_config *c, char *why)
{
	if (!tls_version_known(c->min_version)) {
		snprintf(why, TLS_WHY, "tls_min_version: \"%.40s\" is none of tls10, tls11, tls12, tls13", c->min_version);
		return -1;
	}
	if (c->clients == TLS_CLIENTS_KNOWN && !given(c->ca_file) && !given(c->ca_path)) {
		snprintf(why, TLS_WHY, "ca_file is missing: nobody's certificate could be checked");
		return -1;
	}
	return 0;
}

int tls_reload(struct tls *t, char *why)
{
	struct loaded l = {0};
	SSL_CTX *server = NULL;
	SSL_CTX *client = NULL;
	X509 *cert = NULL;
	int rv = check(&t->config, why);

	ERR_clear_error();
	if (rv == 0) {
		rv = load_files(&t->config, &l, why);
	}
	if (rv == 0 && l.key != NULL) {
		server = make_context(&t->config, &l, true, why);
		rv = server != NULL ? 0 : -1;
	}
	if (rv == 0) {
		client = make_context(&t->config, &l, false, why);
		rv = client != NULL ? 0 : -1;
	}
	if (rv == 0) {
		SSL_CTX *old_server = t->server;
		SSL_CTX *old_client = t->client;
		X509 *old_cert = t->cert;

		cert = l.key != NULL ? X509_dup(sk_X509_value(l.chain, 0)) : NULL;
		pthread_mutex_lock(&t->lock);
		t->server = server;
		t->client = client;
		t->cert = cert;
		pthread_mutex_unlock(&t->lock);
		server = old_server;
		client = old_client;
		cert = old_cert;
	}
	SSL_CTX_free(server);
	SSL_CTX_free(client);
	X509_free(cert);
	loaded_close(&l);
	return rv;
}

static const char *keep(const char *text)
{
	return strdup(text != NULL ? text : "");
}

static bool keep_config(struct tls_config *to, const struct tls_config *from)
{
	*to = *from;
	to->ca_file = keep(from->ca_file);
	to->ca_path = keep(from->ca_path);
	to->cert_file = keep(from->cert_file);
	to->key_file = keep(from->key_file);
	to->min_version = keep(from->min_version);
	to->cipher_suites = keep(from->cipher_suites);
	return to->ca_file != NULL && to->ca_path != NULL && to->cert_file != NULL && to->key_file != NULL &&
	       to->min_version != NULL && to->cipher_suites != NULL;
}

struct tls *tls_new(const struct tls_config *config, char *why)
{
	struct tls *t = calloc(1, sizeof(*t));

	if (t != NULL) {
		pthread_mutex_init(&t->lock, NULL);
	}
	if (t == NULL || !keep_config(&t->config, config)) {
		snprintf(why, TLS_WHY, "out of memory");
	} else if (tls_reload(t, why) == 0) {
		return t;
	}
	tls_free(t);
	return NULL;
}

static void drop(const char *text)
{
	free((void *)(size_t)text);
}

void tls_free(struct tls *t)
{
	if (t == NULL) {
		return;
	}
	SSL_CTX_free(t->server);
	SSL_CTX_free(t->client);
	X509_free(t->cert);
	drop(t->config.ca_file);
	drop(t->config.ca_path);
	drop(t->config.cert_file);
	drop(t->config.key_file);
	drop(t->config.min_version);
	drop(t->config.cipher_suites);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

static SSL_CTX *borrow(struct tls *t, SSL_CTX *const *which)
{
	SSL_CTX *ctx;

	pthread_mutex_lock(&t->lock);
	ctx = *which;
	if (ctx != NULL && SSL_CTX_up_ref(ctx) != 1) {
		ctx = NULL;
	}
	pthread_mutex_unlock(&t->lock);
	return ctx;
}

SSL_CTX *tls_server(struct tls *t)
{
	return borrow(t, &t->server);
}

SSL_CTX *tls_client(struct tls *t)
{
	return borrow(t, &t->client);
}

void tls_about(struct tls *t, char *text, size_t size)
{
	char subject[256] = "";
	struct tm tm;

	pthread_mutex_lock(&t->lock);
	if (t->cert == NULL || ASN1_TIME_to_tm(X509_get0_notAfter(t->cert), &tm) != 1) {
		snprintf(text, size, "no certificate");
	} else {
		BIO *bio = BIO_new(BIO_s_mem());
		int n = bio != NULL && X509_NAME_print_ex(bio, X509_get_subject_name(t->cert), 0, XN_FLAG_RFC2253) >= 0
				? BIO_read(bio, subject, sizeof(subject) - 1)
				: 0;

		subject[n > 0 ? n : 0] = '\0';
		BIO_free(bio);
		snprintf(text, size, "%s, until %04d-%02d-%02d %02d:%02d UTC", subject, tm.tm_year + 1900, tm.tm_mon + 1,
			 tm.tm_mday, tm.tm_hour, tm.tm_min);
	}
	pthread_mutex_unlock(&t->lock);
}
