#include "test/unit/certs.h"

#include <assert.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

void certs_directory(char dir[64])
{
	snprintf(dir, 64, "/tmp/drover-certs-XXXXXX");
	assert(mkdtemp(dir) != NULL);
}

void certs_remove(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *e;

	while (d != NULL && (e = readdir(d)) != NULL) {
		if (e->d_name[0] != '.') {
			(void)unlinkat(dirfd(d), e->d_name, 0);
		}
	}
	if (d != NULL) {
		closedir(d);
	}
	(void)rmdir(dir);
}

const char *certs_path(const char *dir, const char *name)
{
	static char paths[8][256];
	static unsigned at;
	char *path = paths[at++ % 8];

	snprintf(path, sizeof(paths[0]), "%s/%s", dir, name);
	return path;
}

static FILE *create(const char *dir, const char *name, const char *end)
{
	char path[256];
	FILE *f;
	int fd;

	snprintf(path, sizeof(path), "%s/%s%s", dir, name, end);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	f = fdopen(fd, "w");
	assert(f != NULL);
	return f;
}

static void extend(X509 *x, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509_EXTENSION *e;

	X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
	e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	assert(e != NULL && X509_add_ext(x, e, -1) == 1);
	X509_EXTENSION_free(e);
}

static X509 *begin(EVP_PKEY *key, const char *name, const X509_NAME *issuer, int from_days, int to_days)
{
	static long serial = 1;
	X509 *x = X509_new();
	X509_NAME *subject = X509_NAME_new();

	assert(x != NULL && subject != NULL);
	X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
	X509_set_version(x, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(x), serial++);
	X509_set_subject_name(x, subject);
	X509_set_issuer_name(x, issuer != NULL ? issuer : subject);
	X509_gmtime_adj(X509_getm_notBefore(x), (long)from_days * 86400);
	X509_gmtime_adj(X509_getm_notAfter(x), (long)to_days * 86400);
	X509_set_pubkey(x, key);
	X509_NAME_free(subject);
	return x;
}

struct authority certs_authority(const char *dir, const char *name)
{
	struct authority a = {.key = EVP_EC_gen("P-256")};
	FILE *f = create(dir, name, ".pem");

	assert(a.key != NULL);
	a.cert = begin(a.key, name, NULL, -1000, 1000);
	extend(a.cert, a.cert, NID_basic_constraints, "critical,CA:TRUE");
	extend(a.cert, a.cert, NID_key_usage, "critical,keyCertSign,cRLSign");
	assert(X509_sign(a.cert, a.key, EVP_sha256()) > 0 && PEM_write_X509(f, a.cert) == 1);
	fclose(f);
	return a;
}

void certs_authority_close(struct authority *a)
{
	X509_free(a->cert);
	EVP_PKEY_free(a->key);
}

void certs_make(const struct authority *a, const char *dir, const char *name, const char *dns, int days)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	FILE *f = create(dir, name, ".pem");
	FILE *k = create(dir, name, "-key.pem");
	char names[512] = "";
	X509 *x;

	assert(key != NULL);
	x = begin(key, name, X509_get_subject_name(a->cert), days < 0 ? days * 2 : -1, days);
	while (*dns != '\0') {
		size_t len = strcspn(dns, ",");
		size_t used = strlen(names);

		snprintf(names + used, sizeof(names) - used, "%sDNS:%.*s", used > 0 ? "," : "", (int)len, dns);
		dns += len;
		dns += *dns == ',';
	}
	if (names[0] != '\0') {
		extend(x, a->cert, NID_subject_alt_name, names);
	}
	assert(X509_sign(x, a->key, EVP_sha256()) > 0 && PEM_write_X509(f, x) == 1);
	assert(PEM_write_PrivateKey(k, key, NULL, NULL, 0, NULL, NULL) == 1);
	fclose(f);
	fclose(k);
	X509_free(x);
	EVP_PKEY_free(key);
}
