#include "test/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "lib/log.h"
#include "lib/tls.h"
#include "test/unit/certs.h"

static char dir[64];
static struct authority ours, theirs;

static int set_up(void **state)
{
	(void)state;
	log_set_level(LOG_OFF);
	certs_directory(dir);
	ours = certs_authority(dir, "ca");
	theirs = certs_authority(dir, "other-ca");
	certs_make(&ours, dir, "server", "server.global.nomad,localhost", 30);
	certs_make(&ours, dir, "client", "client.global.nomad", 30);
	certs_make(&ours, dir, "old", "server.global.nomad", -2);
	certs_make(&theirs, dir, "stranger", "server.global.nomad", 30);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	certs_authority_close(&ours);
	certs_authority_close(&theirs);
	certs_remove(dir);
	return 0;
}

/* What NAME.pem and its key make of a set; "" is none. */
static struct tls_config config_of(const char *name)
{
	struct tls_config c = {.ca_file = certs_path(dir, "ca.pem"), .clients = TLS_CLIENTS_KNOWN};
	char file[64];

	if (name[0] != '\0') {
		snprintf(file, sizeof(file), "%s.pem", name);
		c.cert_file = certs_path(dir, file);
		snprintf(file, sizeof(file), "%s-key.pem", name);
		c.key_file = certs_path(dir, file);
	}
	return c;
}

static struct tls *set_of(const struct tls_config *c)
{
	char why[TLS_WHY] = "";
	struct tls *t = tls_new(c, why);

	if (t == NULL) {
		fail_msg("%s", why);
	}
	return t;
}

static struct tls *named(const char *name)
{
	struct tls_config c = config_of(name);

	return set_of(&c);
}

struct talk {
	SSL *server, *client;
	bool server_done, client_done;
	char server_why[256], client_why[256];
};

static void step(SSL *ssl, bool *done, char why[256])
{
	int rv;

	ERR_clear_error();
	rv = why[0] == '\0' && !*done ? SSL_do_handshake(ssl) : 1;
	if (rv == 1) {
		*done = why[0] == '\0';
	} else if (SSL_get_error(ssl, rv) != SSL_ERROR_WANT_READ) {
		tls_fault_text(ssl, why, 256);
	}
}

/* Both sides, in memory. */
static struct talk talk_begin(struct tls *server, struct tls *client)
{
	struct talk t = {0};
	SSL_CTX *s = tls_server(server);
	SSL_CTX *c = tls_client(client);
	BIO *near = NULL;
	BIO *far = NULL;
	int i;

	assert_non_null(s);
	assert_non_null(c);
	t.server = SSL_new(s);
	t.client = SSL_new(c);
	SSL_CTX_free(s);
	SSL_CTX_free(c);
	assert_int_equal(BIO_new_bio_pair(&near, 65536, &far, 65536), 1);
	SSL_set_bio(t.server, near, near);
	SSL_set_bio(t.client, far, far);
	SSL_set_accept_state(t.server);
	SSL_set_connect_state(t.client);
	for (i = 0; i < 10; i++) {
		step(t.client, &t.client_done, t.client_why);
		step(t.server, &t.server_done, t.server_why);
	}
	return t;
}

static void talk_end(struct talk *t)
{
	SSL_free(t->server);
	SSL_free(t->client);
}

static void both_sides_with_certificates_of_one_authority_agree(void **state)
{
	struct tls *s = named("server");
	struct tls *c = named("client");
	struct talk t = talk_begin(s, c);
	char about[256];

	(void)state;
	assert_string_equal(t.server_why, "");
	assert_true(t.server_done && t.client_done);
	assert_string_equal(SSL_get_version(t.server), "TLSv1.3");
	assert_false(SSL_session_reused(t.client));
	tls_about(s, about, sizeof(about));
	assert_non_null(strstr(about, "CN=server, until 20"));
	talk_end(&t);
	tls_free(s);
	tls_free(c);
}

/* How the accepting side sees it, and the connecting one. */
static void refused(const char *server, const char *client, const char *server_why, const char *client_why)
{
	struct tls *s = named(server);
	struct tls *c = named(client);
	struct talk t = talk_begin(s, c);

	if (server_why != NULL && strstr(t.server_why, server_why) == NULL) {
		fail_msg("the server of %s and %s: \"%s\"", server, client, t.server_why);
	}
	if (client_why != NULL && strstr(t.client_why, client_why) == NULL) {
		fail_msg("the client of %s and %s: \"%s\"", server, client, t.client_why);
	}
	assert_false(t.server_done);
	talk_end(&t);
	tls_free(s);
	tls_free(c);
}

static void a_certificate_that_is_not_good_is_refused_and_said_why(void **state)
{
	(void)state;
	refused("server", "", "did not return a certificate", NULL);
	refused("server", "stranger", "unable to get local issuer certificate", NULL);
	refused("server", "old", "certificate has expired", NULL);
	refused("old", "client", NULL, "certificate has expired");
	refused("stranger", "client", NULL, "unable to get local issuer certificate");
}

static void a_server_that_does_not_ask_takes_clients_without_certificate(void **state)
{
	struct tls_config config = config_of("server");
	struct tls *s;
	struct tls *c = named("");
	struct talk t;

	(void)state;
	config.clients = TLS_CLIENTS_ANY;
	s = set_of(&config);
	t = talk_begin(s, c);
	assert_true(t.server_done && t.client_done);
	assert_null(tls_server(c));
	talk_end(&t);
	tls_free(s);
	tls_free(c);
}

static void versions_and_suites_are_those_of_the_configuration(void **state)
{
	struct tls_config config = config_of("server");
	struct tls_config newer = config_of("client");
	struct tls *s;
	struct tls *c;
	struct talk t;

	(void)state;
	config.cipher_suites = "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305";
	newer.min_version = "tls13";
	s = set_of(&config);
	c = set_of(&newer);
	SSL_CTX *ctx = tls_server(s);
	SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION); /* As if it knew nothing newer. */
	SSL_CTX_free(ctx);
	t = talk_begin(s, c);
	assert_false(t.server_done || t.client_done);
	talk_end(&t);
	tls_free(c);
	c = named("client");
	t = talk_begin(s, c);
	assert_true(t.server_done);
	assert_string_equal(SSL_get_version(t.server), "TLSv1.2");
	assert_non_null(strstr("ECDHE-ECDSA-AES256-GCM-SHA384 ECDHE-ECDSA-CHACHA20-POLY1305", SSL_get_cipher_name(t.server)));
	talk_end(&t);
	tls_free(s);
	tls_free(c);
}

static void names_of_versions_and_suites_are_checked(void **state)
{
	char bad[64] = "";

	(void)state;
	assert_true(tls_version_known("") && tls_version_known("tls10") && tls_version_known("tls13"));
	assert_false(tls_version_known("ssl3") || tls_version_known("TLS12"));
	assert_true(tls_suites_known("", bad, sizeof(bad)));
	assert_true(tls_suites_known("TLS_RSA_WITH_AES_128_CBC_SHA,TLS_AES_128_GCM_SHA256", bad, sizeof(bad)));
	assert_false(tls_suites_known("TLS_AES_128_GCM_SHA256, TLS_MADE_UP", bad, sizeof(bad)));
	assert_string_equal(bad, "TLS_MADE_UP");
}

static void write_file(const char *name, const char *text)
{
	FILE *f = fopen(certs_path(dir, name), "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void cannot(const struct tls_config *c, const char *part, const char *other)
{
	char why[TLS_WHY] = "";
	struct tls *t = tls_new(c, why);

	if (t != NULL || strstr(why, part) == NULL || strstr(why, other) == NULL) {
		fail_msg("\"%s\" and \"%s\" are not in \"%s\"", part, other, why);
	}
}

static void what_is_wrong_with_a_file_is_said_with_its_name(void **state)
{
	struct tls_config c = config_of("server");

	(void)state;
	c.ca_file = certs_path(dir, "none.pem");
	cannot(&c, "ca_file: ", "none.pem: No such file or directory");
	c.ca_file = NULL;
	cannot(&c, "ca_file", "missing");
	write_file("junk.pem", "this is no certificate\n");
	write_file("empty.pem", "");
	write_file("half.pem", "-----BEGIN CERTIFICATE-----\nMIIB\n");
	c = config_of("server");
	c.ca_file = certs_path(dir, "junk.pem");
	cannot(&c, "ca_file: ", "junk.pem: no start line");
	c.ca_file = certs_path(dir, "empty.pem");
	cannot(&c, "ca_file: ", "empty.pem: empty");
	c.ca_file = certs_path(dir, "half.pem");
	cannot(&c, "ca_file: ", "half.pem: ");
	c = config_of("server");
	c.key_file = certs_path(dir, "client-key.pem");
	cannot(&c, "key_file: ", "not the key of the certificate");
	c.key_file = NULL;
	cannot(&c, "cert_file and key_file", "missing");
	c = config_of("server");
	c.min_version = "ssl3";
	cannot(&c, "tls_min_version", "ssl3");
	c.min_version = NULL;
	c.cipher_suites = "TLS_MADE_UP";
	cannot(&c, "tls_cipher_suites", "TLS_MADE_UP");
}

static void a_key_with_a_passphrase_is_no_key(void **state)
{
	struct tls_config c = config_of("server");
	EVP_PKEY *key = EVP_EC_gen("P-256");
	FILE *f = fopen(certs_path(dir, "locked-key.pem"), "w");

	(void)state;
	assert_int_equal(PEM_write_PrivateKey(f, key, EVP_aes_128_cbc(), (unsigned char *)(uintptr_t)"abcd", 4, NULL, NULL), 1);
	fclose(f);
	EVP_PKEY_free(key);
	c.key_file = certs_path(dir, "locked-key.pem");
	cannot(&c, "locked-key.pem", "passphrase");
}

static void copy_file(const char *from, const char *to)
{
	char text[16384];
	FILE *f = fopen(certs_path(dir, from), "r");
	size_t n = fread(text, 1, sizeof(text) - 1, f);

	text[n] = '\0';
	fclose(f);
	write_file(to, text);
}

static void reloaded_files_are_for_new_connections_only(void **state)
{
	struct tls_config config;
	struct tls *s;
	struct tls *c = named("client");
	struct talk before;
	struct talk after;
	char why[TLS_WHY] = "";
	char byte;

	(void)state;
	copy_file("server.pem", "now.pem");
	copy_file("server-key.pem", "now-key.pem");
	config = config_of("now");
	s = set_of(&config);
	before = talk_begin(s, c);
	certs_make(&ours, dir, "now", "server.global.nomad", 60);
	assert_int_equal(tls_reload(s, why), 0);
	after = talk_begin(s, c);
	X509 *old = SSL_get1_peer_certificate(before.client);
	X509 *new = SSL_get1_peer_certificate(after.client);
	assert_true(before.client_done && after.client_done);
	assert_int_not_equal(X509_cmp(old, new), 0);
	assert_int_equal(SSL_write(before.server, "x", 1), 1);
	assert_int_equal(SSL_read(before.client, &byte, 1), 1);
	X509_free(old);
	X509_free(new);
	talk_end(&before);
	talk_end(&after);

	/* What cannot be read changes nothing. */
	write_file("now-key.pem", "nothing\n");
	assert_int_equal(tls_reload(s, why), -1);
	assert_non_null(strstr(why, "now-key.pem"));
	after = talk_begin(s, c);
	assert_true(after.server_done);
	talk_end(&after);
	tls_free(s);
	tls_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_sides_with_certificates_of_one_authority_agree),
		cmocka_unit_test(a_certificate_that_is_not_good_is_refused_and_said_why),
		cmocka_unit_test(a_server_that_does_not_ask_takes_clients_without_certificate),
		cmocka_unit_test(versions_and_suites_are_those_of_the_configuration),
		cmocka_unit_test(names_of_versions_and_suites_are_checked),
		cmocka_unit_test(what_is_wrong_with_a_file_is_said_with_its_name),
		cmocka_unit_test(a_key_with_a_passphrase_is_no_key),
		cmocka_unit_test(reloaded_files_are_for_new_connections_only),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
