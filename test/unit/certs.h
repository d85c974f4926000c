/** Certificates for tests: authorities and what they sign, as files in a directory of the test's own. */
#ifndef TEST_UNIT_CERTS_H_
#define TEST_UNIT_CERTS_H_

#include <openssl/x509.h>

struct authority {
	X509 *cert;
	EVP_PKEY *key;
};

/* A directory that certs_remove() takes away again, with all that is in it. */
void certs_directory(char dir[64]);
void certs_remove(const char *dir);

/* A new authority, its certificate in DIR/NAME.pem. */
struct authority certs_authority(const char *dir, const char *name);
void certs_authority_close(struct authority *a);

/* DIR/NAME.pem and DIR/NAME-key.pem: a certificate for these DNS names ("a,b"), good until `days` from now; negative: it
 * ended so long ago. */
void certs_make(const struct authority *a, const char *dir, const char *name, const char *dns, int days);

/* "DIR/NAME", in one of some buffers that are used in turn. */
const char *certs_path(const char *dir, const char *name);

#endif /* TEST_UNIT_CERTS_H_ */
