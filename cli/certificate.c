#include "cli/certificate.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "lib/buf.h"
#include "proto/error.h"

enum {
	SERIAL_BITS = 127, /* A serial number is positive, and has at most 20 bytes. */
	EARLIER_S = 60,    /* Valid a little before it is made: clocks of two machines are never the same. */
	DAY_S = 86400,
};

/* ---- errors ---- */

static int refuse(char why[CERTIFICATE_WHY], int error, const char *what, const char *reason)
{
	snprintf(why, CERTIFICATE_WHY, "%s: %s", what, reason);
	return error;
}

/* What OpenSSL has to say of its last failure. */
static int refuse_ssl(char why[CERTIFICATE_WHY], const char *what)
{
	unsigned long code = ERR_peek_last_error();
	const char *reason = code != 0 ? ERR_reason_error_string(code) : NULL;

	ERR_clear_error();
	return refuse(why, ERR_INVALID, what, reason != NULL ? reason : "out of memory");
}

void certificate_close(struct certificate *c)
{
	X509_free(c->x509);
	EVP_PKEY_free(c->key);
	*c = (struct certificate){0};
}

/* ---- names ---- */

bool certificate_is_dns_name(const char *text)
{
	size_t n = strlen(text);

	if (strncmp(text, "*.", 2) == 0) {
		text += 2;
		n -= 2;
	}
	return n > 0 && n <= 253 && text[0] != '.' && text[0] != '-' && text[n - 1] != '.' && strstr(text, "..") == NULL &&
	       strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") == n;
}

bool certificate_is_ip(const char *text)
{
	unsigned char room[16];

	return inet_pton(AF_INET, text, room) == 1 || inet_pton(AF_INET6, text, room) == 1;
}

static bool add_part(X509_NAME *name, int nid, const char *text)
{
	return text == NULL || text[0] == '\0' ||
	       X509_NAME_add_entry_by_NID(name, nid, MBSTRING_UTF8, (const unsigned char *)text, -1, -1, 0) == 1;
}

static bool set_subject(X509 *x, const struct certificate_subject *s)
{
	X509_NAME *name = X509_get_subject_name(x);

	return add_part(name, NID_countryName, s->country) && add_part(name, NID_postalCode, s->postal_code) &&
	       add_part(name, NID_stateOrProvinceName, s->province) && add_part(name, NID_localityName, s->locality) &&
	       add_part(name, NID_streetAddress, s->street_address) &&
	       add_part(name, NID_organizationName, s->organization) &&
	       add_part(name, NID_organizationalUnitName, s->organizational_unit) &&
	       add_part(name, NID_commonName, s->common_name);
}

/* "DNS:a,IP:b", with `before` in front of each. They have been checked: no commas are in them. */
static bool list_names(struct buf *out, const char *before, const struct certificate_names *names)
{
	for (unsigned i = 0; i < names->n_dns; i++) {
		buf_printf(out, "%s%sDNS:%s", out->len > 0 ? "," : "", before, names->dns[i]);
	}
	for (unsigned i = 0; i < names->n_ip; i++) {
		buf_printf(out, "%s%sIP:%s", out->len > 0 ? "," : "", before, names->ip[i]);
	}
	buf_text(out);
	return !out->failed;
}

static int check_names(const struct certificate_names *names, char why[CERTIFICATE_WHY])
{
	for (unsigned i = 0; i < names->n_dns; i++) {
		if (!certificate_is_dns_name(names->dns[i])) {
			return refuse(why, ERR_INVALID, names->dns[i], "is not a DNS name");
		}
	}
	for (unsigned i = 0; i < names->n_ip; i++) {
		if (!certificate_is_ip(names->ip[i])) {
			return refuse(why, ERR_INVALID, names->ip[i], "is not an IP address");
		}
	}
	return 0;
}

/* ---- making ---- */

static bool add_extension(X509 *x, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX context;
	X509_EXTENSION *e;
	bool good;

	X509V3_set_ctx_nodb(&context);
	X509V3_set_ctx(&context, issuer, x, NULL, NULL, 0);
	e = X509V3_EXT_conf_nid(NULL, &context, nid, value);
	good = e != NULL && X509_add_ext(x, e, -1) == 1;
	X509_EXTENSION_free(e);
	return good;
}

static bool add_names(X509 *x, X509 *issuer, int nid, const char *begins, const char *before,
		      const struct certificate_names *names)
{
	struct buf text = {0};
	bool good;

	buf_str(&text, begins);
	good = list_names(&text, before, names) && add_extension(x, issuer, nid, text.at);
	buf_close(&text);
	return good;
}

static bool set_serial(X509 *x)
{
	BIGNUM *n = BN_new();
	bool good = n != NULL && BN_rand(n, SERIAL_BITS, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) == 1 &&
		    BN_to_ASN1_INTEGER(n, X509_get_serialNumber(x)) != NULL;

	BN_free(n);
	return good;
}

/* A new key, and a certificate for it that has all but its names and what it is good for. */
static bool begin(struct certificate *c, long days)
{
	time_t now = time(NULL);

	c->key = EVP_EC_gen("P-256");
	c->x509 = X509_new();
	return c->key != NULL && c->x509 != NULL && X509_set_version(c->x509, X509_VERSION_3) == 1 &&
	       set_serial(c->x509) && X509_set_pubkey(c->x509, c->key) == 1 &&
	       ASN1_TIME_set(X509_getm_notBefore(c->x509), now - EARLIER_S) != NULL &&
	       ASN1_TIME_adj(X509_getm_notAfter(c->x509), now, (int)days, 0) != NULL;
}

static bool fill_ca(struct certificate *c, const struct certificate_subject *subject,
		    const struct certificate_names *domains, long days)
{
	return begin(c, days) && set_subject(c->x509, subject) &&
	       X509_set_issuer_name(c->x509, X509_get_subject_name(c->x509)) == 1 &&
	       add_extension(c->x509, c->x509, NID_basic_constraints, "critical,CA:TRUE") &&
	       add_extension(c->x509, c->x509, NID_key_usage, "critical,digitalSignature,keyCertSign,cRLSign") &&
	       add_extension(c->x509, c->x509, NID_subject_key_identifier, "hash") &&
	       add_extension(c->x509, c->x509, NID_authority_key_identifier, "keyid:always") &&
	       (domains == NULL ||
		add_names(c->x509, c->x509, NID_name_constraints, "critical", "permitted;", domains)) &&
	       X509_sign(c->x509, c->key, EVP_sha256()) > 0;
}

int certificate_make_ca(const struct certificate_subject *subject, const struct certificate_names *domains, long days,
			struct certificate *out, char why[CERTIFICATE_WHY])
{
	struct certificate c = {0};
	int rv = domains != NULL ? check_names(domains, why) : 0;

	if (rv == 0 && !fill_ca(&c, subject, domains, days)) {
		rv = refuse_ssl(why, "making the authority");
	}
	if (rv != 0) {
		certificate_close(&c);
		return rv;
	}
	*out = c;
	return 0;
}

static bool fill(struct certificate *c, const struct certificate *ca, const char *common_name,
		 const struct certificate_names *names, bool serves, long days)
{
	const struct certificate_subject subject = {.common_name = common_name};

	return begin(c, days) && set_subject(c->x509, &subject) &&
	       X509_set_issuer_name(c->x509, X509_get_subject_name(ca->x509)) == 1 &&
	       add_extension(c->x509, ca->x509, NID_basic_constraints, "critical,CA:FALSE") &&
	       add_extension(c->x509, ca->x509, NID_key_usage, "critical,digitalSignature,keyEncipherment") &&
	       add_extension(c->x509, ca->x509, NID_ext_key_usage, serves ? "serverAuth,clientAuth" : "clientAuth") &&
	       add_extension(c->x509, ca->x509, NID_subject_key_identifier, "hash") &&
	       add_extension(c->x509, ca->x509, NID_authority_key_identifier, "keyid") &&
	       add_names(c->x509, ca->x509, NID_subject_alt_name, "", "", names) &&
	       X509_sign(c->x509, ca->key, EVP_sha256()) > 0;
}

/* What a peer would say that trusts the authority. */
static int verify(const struct certificate *c, const struct certificate *ca, char why[CERTIFICATE_WHY])
{
	X509_STORE *store = X509_STORE_new();
	X509_STORE_CTX *check = X509_STORE_CTX_new();
	int rv = 0;

	if (store == NULL || check == NULL || X509_STORE_add_cert(store, ca->x509) != 1 ||
	    X509_STORE_CTX_init(check, store, c->x509, NULL) != 1) {
		rv = refuse_ssl(why, "checking the certificate");
	} else {
		X509_STORE_CTX_set_flags(check, X509_V_FLAG_PARTIAL_CHAIN); /* It may have an authority above it. */
		if (X509_verify_cert(check) != 1) {
			rv = refuse(why, ERR_INVALID, "nobody would accept the certificate",
				    X509_verify_cert_error_string(X509_STORE_CTX_get_error(check)));
		}
	}
	ERR_clear_error();
	X509_STORE_CTX_free(check);
	X509_STORE_free(store);
	return rv;
}

int certificate_make(const struct certificate *ca, const char *common_name, const struct certificate_names *names,
		     bool serves, long days, struct certificate *out, char why[CERTIFICATE_WHY])
{
	struct certificate c = {0};
	int rv = check_names(names, why);

	if (rv == 0 && !fill(&c, ca, common_name, names, serves, days)) {
		rv = refuse_ssl(why, "making the certificate");
	}
	if (rv == 0) {
		rv = verify(&c, ca, why);
	}
	if (rv != 0) {
		certificate_close(&c);
		return rv;
	}
	*out = c;
	return 0;
}

/* ---- files ---- */

/* Whoever runs this is not asked for the pass phrase of a key: that is an error. */
static int no_pass_phrase(char *to, int size, int writes, void *ctx)
{
	(void)to;
	(void)size;
	(void)writes;
	(void)ctx;
	return -1;
}

int certificate_load(const char *path, struct certificate *out, char why[CERTIFICATE_WHY])
{
	FILE *in = fopen(path, "re");
	X509 *x;

	if (in == NULL) {
		return refuse(why, ERR_IO, path, strerror(errno));
	}
	x = PEM_read_X509(in, NULL, no_pass_phrase, NULL);
	fclose(in);
	if (x == NULL) {
		return refuse_ssl(why, path);
	}
	*out = (struct certificate){.x509 = x};
	return 0;
}

static int load_key(const char *path, struct certificate *c, char why[CERTIFICATE_WHY])
{
	FILE *in = fopen(path, "re");

	if (in == NULL) {
		return refuse(why, ERR_IO, path, strerror(errno));
	}
	c->key = PEM_read_PrivateKey(in, NULL, no_pass_phrase, NULL);
	fclose(in);
	return c->key != NULL ? 0 : refuse_ssl(why, path);
}

bool certificate_is_ca(const struct certificate *c)
{
	return X509_check_ca(c->x509) == 1;
}

int certificate_load_ca(const char *path, const char *key_path, struct certificate *out, char why[CERTIFICATE_WHY])
{
	struct certificate c = {0};
	int rv = certificate_load(path, &c, why);

	if (rv == 0 && !certificate_is_ca(&c)) {
		rv = refuse(why, ERR_INVALID, path, "is not the certificate of an authority");
	}
	if (rv == 0) {
		rv = load_key(key_path, &c, why);
	}
	if (rv == 0 && X509_check_private_key(c.x509, c.key) != 1) {
		ERR_clear_error();
		rv = refuse(why, ERR_INVALID, key_path, "is not the key of that certificate");
	}
	if (rv != 0) {
		certificate_close(&c);
		return rv;
	}
	*out = c;
	return 0;
}

/* A file that did not exist; NULL, with errno, if it does. */
static FILE *create(const char *path, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	FILE *out = fd >= 0 ? fdopen(fd, "w") : NULL;

	if (fd >= 0 && out == NULL) {
		close(fd);
		unlink(path);
	}
	return out;
}

/* 0 or an errno; closes the file. */
static int finish(FILE *out, bool written)
{
	bool good = written && fflush(out) == 0 && fsync(fileno(out)) == 0;
	int error = good ? 0 : errno;

	if (fclose(out) != 0 && error == 0) {
		error = errno;
	}
	return good || error != 0 ? error : EIO;
}

int certificate_save(const struct certificate *c, const char *path, const char *key_path, char why[CERTIFICATE_WHY])
{
	FILE *key = create(key_path, 0600);
	FILE *out;
	int error;

	if (key == NULL) {
		return refuse(why, ERR_IO, key_path, strerror(errno));
	}
	out = create(path, 0644);
	if (out == NULL) {
		error = errno;
		fclose(key);
		unlink(key_path);
		return refuse(why, ERR_IO, path, strerror(error));
	}
	error = finish(key, PEM_write_PKCS8PrivateKey(key, c->key, NULL, NULL, 0, NULL, NULL) == 1);
	if (error == 0) {
		error = finish(out, PEM_write_X509(out, c->x509) == 1);
	} else {
		fclose(out);
	}
	if (error != 0) {
		unlink(path);
		unlink(key_path);
		return refuse(why, ERR_IO, path, strerror(error));
	}
	return 0;
}

/* ---- what one says ---- */

static char *take_text(struct buf *b)
{
	char *text = strdup(buf_text(b));

	buf_close(b);
	return text;
}

static char *common_name_of(const X509_NAME *name)
{
	struct buf b = {0};
	int at = X509_NAME_get_index_by_NID(name, NID_commonName, -1);
	unsigned char *text = NULL;
	int n = at >= 0 ? ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at))) : -1;

	if (n > 0) {
		buf_put(&b, (const char *)text, (size_t)n);
	}
	OPENSSL_free(text);
	return take_text(&b);
}

static char *serial_of(const X509 *x)
{
	BIGNUM *n = ASN1_INTEGER_to_BN(X509_get0_serialNumber(x), NULL);
	char *digits = n != NULL ? BN_bn2dec(n) : NULL;
	char *copy = digits != NULL ? strdup(digits) : NULL;

	OPENSSL_free(digits);
	BN_free(n);
	return copy;
}

static char *expiry_of(const X509 *x)
{
	char text[64];
	struct tm t;

	if (ASN1_TIME_to_tm(X509_get0_notAfter(x), &t) != 1) {
		return NULL;
	}
	return strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S +0000 UTC", &t) > 0 ? strdup(text) : NULL;
}

static void put_name(struct buf *b, const GENERAL_NAME *name)
{
	int kind;
	const ASN1_STRING *value = GENERAL_NAME_get0_value(name, &kind);
	const unsigned char *data = ASN1_STRING_get0_data(value);
	int n = ASN1_STRING_length(value);
	char text[INET6_ADDRSTRLEN];

	if (b->len > 1) {
		buf_byte(b, ' ');
	}
	if (kind == GEN_DNS) {
		buf_put(b, (const char *)data, (size_t)n);
	} else if (inet_ntop(n == 4 ? AF_INET : AF_INET6, data, text, sizeof(text)) != NULL) {
		buf_str(b, text);
	}
}

static bool is_whole(const GENERAL_NAME *name)
{
	int kind;
	const ASN1_STRING *value = GENERAL_NAME_get0_value(name, &kind);
	int n = kind == GEN_IPADD ? ASN1_STRING_length(value) : 4;

	return n == 4 || n == 16;
}

static char *names_of(const X509 *x, int kind)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
	struct buf b = {0};

	buf_byte(&b, '[');
	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);

		if (name->type == kind && is_whole(name)) {
			put_name(&b, name);
		}
	}
	buf_byte(&b, ']');
	GENERAL_NAMES_free(names);
	return take_text(&b);
}

void certificate_describe(const struct certificate *c, struct certificate_info *info)
{
	*info = (struct certificate_info){
		.serial = serial_of(c->x509),
		.issuer = common_name_of(X509_get_issuer_name(c->x509)),
		.common_name = common_name_of(X509_get_subject_name(c->x509)),
		.expiry = expiry_of(c->x509),
		.dns_names = names_of(c->x509, GEN_DNS),
		.ip_addresses = names_of(c->x509, GEN_IPADD),
	};
}

void certificate_info_close(struct certificate_info *info)
{
	free(info->serial);
	free(info->issuer);
	free(info->common_name);
	free(info->expiry);
	free(info->dns_names);
	free(info->ip_addresses);
	*info = (struct certificate_info){0};
}
