/**
 * Who is at the other end of a connection.
 */
#ifndef LIB_PEER_H_
#define LIB_PEER_H_

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <uv.h>

enum { PEER_KEY = 16 };

/* By what limits count it: an IPv4 address, also one that is mapped into IPv6; of IPv6 the first 64 bits, as each host of
 * a network may choose the others. All zeros if it is not known. */
void peer_key(const uv_tcp_t *tcp, uint8_t key[PEER_KEY]);
void peer_key_of(const struct sockaddr_storage *addr, uint8_t key[PEER_KEY]);

/* "10.0.0.1:4647"; "" if it is not known. */
void peer_text(const uv_tcp_t *tcp, char *text, size_t size);

#endif /* LIB_PEER_H_ */
