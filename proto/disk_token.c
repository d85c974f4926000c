#include "proto/disk_token.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <string.h>

#include "lib/secret.h"

#define PURPOSE "data of allocation "

bool disk_token(const char *node_secret, const char *alloc_id, char out[DISK_TOKEN_TEXT])
{
	unsigned char text[sizeof(PURPOSE) + 64];
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned len = 0;
	int n = snprintf((char *)text, sizeof(text), PURPOSE "%s", alloc_id);
	unsigned i;

	if (node_secret[0] == '\0' || n < 0 || (size_t)n >= sizeof(text) ||
	    HMAC(EVP_sha256(), node_secret, (int)strlen(node_secret), text, (size_t)n, digest, &len) == NULL ||
	    len != (DISK_TOKEN_TEXT - 1) / 2) {
		return false;
	}
	for (i = 0; i < len; i++) {
		sprintf(&out[2 * i], "%02x", digest[i]);
	}
	return true;
}

bool disk_token_fits(const char *token, const char *node_secret, const char *alloc_id)
{
	char right[DISK_TOKEN_TEXT];

	return disk_token(node_secret, alloc_id, right) && secret_equal(token, right);
}
