/* A file of its own: who only reads frames needs no OpenSSL. */
#include <string.h>

#include <openssl/evp.h>

#include "proto/websocket.h"

enum { SHA1_LEN = 20 };

void websocket_accept(const char *key, char out[WEBSOCKET_ACCEPT_TEXT])
{
	static const char magic[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
	char text[WEBSOCKET_KEY_LEN + sizeof(magic) - 1];
	unsigned char hash[SHA1_LEN];

	memcpy(text, key, WEBSOCKET_KEY_LEN);
	memcpy(text + WEBSOCKET_KEY_LEN, magic, sizeof(magic) - 1);
	out[0] = '\0';
	if (EVP_Digest(text, sizeof(text), hash, NULL, EVP_sha1(), NULL) == 1) {
		(void)EVP_EncodeBlock((unsigned char *)out, hash, sizeof(hash));
	}
}
