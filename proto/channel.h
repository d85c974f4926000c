/**
 * Bytes between two agents over TCP, on a libuv loop: in plain text, over TLS, or after both have shown that they know a
 * secret. Who uses a channel does not see which; RPC (proto/stream.h) and Raft (raft/transport.h) do.
 *
 *     accepting   channel_new(), channel_serve(), channel_read_start(): the first byte tells what the other side speaks
 *     connecting  channel_new(), channel_connect(): opened_cb, or it is open at once
 *     then        channel_read_start(), channel_try_write(), channel_write()
 *     at last     channel_close(), from anywhere
 *
 *     0x16  TLS: what is inside begins with a first byte again
 *     'K'   the secret's handshake, and behind it plain text:
 *               'K' version nonce      -->
 *                                      <--  nonce, HMAC-SHA256(secret, "server", version, both nonces)
 *               HMAC(secret, "client", version, both nonces)  -->
 *     else  plain text
 *
 * What the peer's certificate must say: its DNS names are ROLE.REGION.nomad, with the roles server, client and cli. A
 * server may do all that a client may, and a client all that a cli may. Without `verify_names` a certificate that has no
 * such name at all may do everything; one that has some may only do what they say.
 *
 * The secret keeps out who does not know it, and no more: what follows can be read, and changed, by who sits in between.
 *
 * A channel in TLS holds at most about 64 KiB that have been taken and not sent, and as much that has come and was not
 * read; an idle one has no buffers. How long a handshake may take is the owner's to watch. All of it is one loop's.
 */
#ifndef PROTO_CHANNEL_H_
#define PROTO_CHANNEL_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <uv.h>

struct tls;
struct channel;
struct channels; /* What the channels of one loop share. */
struct shield;

enum {
	CHANNEL_SECRET_MAX = 64,
	CHANNEL_TLS_FIRST = 0x16,
	CHANNEL_SECRET_FIRST = 'K',
	CHANNEL_WHY = 256,
};

struct channels_config {
	struct tls *tls;    /* NULL: none. Borrowed. Its accepting side must want certificates. */
	bool upgrade;       /* Beside TLS, others are taken as if there were none; and where a server does not answer in
	                     * TLS the next attempt goes without. */
	bool verify_names;  /* See above. */
	const char *region; /* Borrowed. */
	const void *secret; /* Copied; used where TLS is not. */
	size_t secret_len;  /* 0: none; at most CHANNEL_SECRET_MAX. */
	unsigned turn_us;   /* Handshakes of TLS may have so much CPU time in a turn of the loop; others wait. 0: 2000. */
};

/* NULL when memory is exhausted. Where nothing is configured NULL may be used in its place: all is plain text then. */
struct channels *channels_new(const struct channels_config *config);

/* After the last of its channels. */
void channels_free(struct channels *s);

/* Where the next bytes are to be put. */
typedef void (*channel_alloc_cb)(struct channel *c, uv_buf_t *buf);

/* n > 0: so many bytes are in buf. n < 0: an error of libuv's, UV_EOF or UV_EPROTO (see channel_why()), the last there is;
 * buf may be NULL. */
typedef void (*channel_read_cb)(struct channel *c, ssize_t n, const uv_buf_t *buf);
typedef void (*channel_cb)(struct channel *c, int status);

struct channel {
	void *data; /* The owner's. */
	uv_tcp_t *tcp;

	/* Private. */
	struct channels *shared; /* NULL: plain text. */
	struct shield *shield;   /* NULL: the same. */
	channel_alloc_cb alloc_cb;
	channel_read_cb read_cb; /* NULL: it is not being read. */
	channel_cb written_cb;   /* NULL: nobody waits. */
	void (*closed_cb)(void *data);
	uv_write_t write;
	bool closing;
};

/* A channel around a connection, from malloc(), which is its own from now on, its `data` too. Nothing happens yet. NULL
 * when memory is exhausted: the connection is the caller's as before. */
struct channel *channel_new(struct channels *shared, uv_tcp_t *tcp);

/* It was accepted. The handshake goes on while it is being read. False: no memory. */
bool channel_serve(struct channel *c);

/* It was connected to a server of this region, NULL: of any. 1: it is open; 0: opened_cb will tell, with 0 or an error,
 * never inside this call; else an error of libuv's. Until it is open nothing may be written or read. */
int channel_connect(struct channel *c, const char *region, channel_cb opened_cb);

/* Begin or go on to read; and leave it. What has come meanwhile is kept, and is read later, not inside this call. Both may
 * be called in read_cb. 0 or an error of libuv's. */
int channel_read_start(struct channel *c, channel_alloc_cb alloc_cb, channel_read_cb read_cb);
void channel_read_stop(struct channel *c);

/* How many of these bytes were taken, at most all; 0: none can be for now. An error of libuv's. */
ssize_t channel_try_write(struct channel *c, const uv_buf_t *bufs, unsigned n);

/* Take as many as there is room for (*taken; none, maybe), and tell when it is time to write again. What was taken must
 * stay where it is until then. 0 or an error of libuv's. One at a time; written_cb never comes inside this call. */
int channel_write(struct channel *c, const uv_buf_t *bufs, unsigned n, size_t *taken, channel_cb written_cb);

/* How many of the bytes that channel_write() took have not left yet. */
size_t channel_unsent(const struct channel *c, size_t taken);

/* No callback comes any more but closed_cb (NULL: none is wanted), later, with `data` as it is now. */
void channel_close(struct channel *c, void (*closed_cb)(void *data));

/* Why it failed, for people; "" when there is nothing to say beyond the error. */
const char *channel_why(const struct channel *c);

/* It is in TLS. */
bool channel_is_tls(const struct channel *c);

enum channel_role { CHANNEL_SERVER, CHANNEL_CLIENT, CHANNEL_CLI };

/* Whether the other side may act in this role in that region (NULL: in any), by what its certificate says. Without TLS
 * it may. */
bool channel_may(const struct channel *c, enum channel_role role, const char *region);

/* A log line about a connection that was turned away; not more than one in a second. */
void channel_odd(const struct channel *c, const char *why);

#endif /* PROTO_CHANNEL_H_ */
