/**
 * What servers say to each other about the log, as bytes. Pure: no socket here.
 *
 *     connection:  'R'  hello  frame*              messages, one way
 *                  'R'  hello  frame  file bytes   a snapshot
 *     frame:       length, checksum of the body, body
 *     body:        WIRE_WORDS numbers of 8 bytes, then entries or a configuration
 *
 * Numbers are little-endian, as the machines are. Every length is checked against a bound before anything is taken from
 * it, and what libraft only asserts about a message is checked here: its release build would follow a broken message
 * into the weeds.
 *
 * The origin tells clusters apart that were bootstrapped from different lists: each server keeps the hash of the
 * configuration that its cluster began with, and two servers with different ones do not talk.
 */
#ifndef RAFT_WIRE_H_
#define RAFT_WIRE_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <raft.h>

enum {
	WIRE_FIRST = 'R', /* The first byte of a connection. */
	WIRE_VERSION = 1,
	WIRE_WORDS = 8,
	WIRE_MAX_FRAME = 16 << 20,
	WIRE_MAX_SERVERS = 64,
	WIRE_ADDRESS = 264,
};

enum wire_kind { WIRE_MESSAGES = 1, WIRE_SNAPSHOT = 2 };

struct wire_hello {
	uint32_t version;
	uint32_t kind;
	uint64_t cluster; /* Hash of its name. */
	uint64_t origin;  /* 0: in no cluster yet. */
	uint64_t id;
	char address[WIRE_ADDRESS];
	uint64_t crc; /* Of what is before it. */
};

struct wire_frame {
	uint32_t len; /* Of the body. */
	uint32_t crc;
};

enum wire_type {
	WIRE_RAFT,    /* A message of libraft's. */
	WIRE_FILE,    /* An InstallSnapshot, whose file follows: `file_size` bytes. */
	WIRE_REMOVED, /* The receiver is not in the configuration of `conf_index`, which is committed. */
};

struct wire_message {
	enum wire_type type;
	struct raft_message raft; /* But for WIRE_REMOVED. What it points to is from raft_malloc(). */
	uint64_t file_size;
	uint64_t conf_index;
	uint64_t stamp; /* See wire_words(); 0: none. */
};

/* Hashes of a name, and of an encoded configuration; never 0. */
uint64_t wire_hash(const void *data, size_t len);

void wire_hello_make(struct wire_hello *h, enum wire_kind kind, uint64_t cluster, uint64_t origin, uint64_t id,
		     const char *address);

/* Is it whole and of our version, with an address that can be connected to? */
bool wire_hello_valid(const struct wire_hello *h);

/* The words of a message, which wire_decode() reads back. AppendEntries carry a stamp, by the clock of who sends them,
 * and their results one that they answer to (see io.c); in other messages it is lost. */
void wire_words(const struct raft_message *m, uint64_t stamp, uint64_t w[WIRE_WORDS]);
void wire_words_file(const struct raft_message *m, size_t conf_len, uint64_t file_size, uint64_t w[WIRE_WORDS]);
void wire_words_removed(uint64_t conf_index, uint64_t w[WIRE_WORDS]);

/* An entry as it stands behind the words: its term, its length and type; the data of all entries follow the last. */
void wire_entry(const struct raft_entry *entry, uint64_t e[2]);

/* 0, or ERR_CORRUPT with nothing to free, or ERR_NOMEM. Server id and address are not set. */
int wire_decode(const char *body, size_t size, struct wire_message *m);

/* Release what a decoded message points to. */
void wire_message_close(struct wire_message *m);

/* An encoded configuration, of which libraft's decoder believes everything: are its lengths right, its ids and
 * addresses unique and legal, its roles known? */
bool wire_conf_valid(const void *data, size_t len);

#endif /* RAFT_WIRE_H_ */
