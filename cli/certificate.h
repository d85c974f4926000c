/**
 * Certificates as a cluster needs them: an authority of its own, and what that signs for agents and the command line.
 *
 * Keys are of the curve P-256. All functions return 0, or ERR_INVALID, ERR_IO or ERR_NOMEM with a text in `why`.
 */
#ifndef CLI_CERTIFICATE_H_
#define CLI_CERTIFICATE_H_

#include <stdbool.h>
#include <stddef.h>

enum { CERTIFICATE_WHY = 512, CERTIFICATE_NAMES_MAX = 64, CERTIFICATE_DAYS_MAX = 36500 };

/* A certificate with its key, or half of it. All zero is none. */
struct certificate {
	struct x509_st *x509;
	struct evp_pkey_st *key;
};

struct certificate_subject {
	const char *common_name; /* NULL stands for none, as for all of these. */
	const char *country;     /* Two letters. */
	const char *postal_code;
	const char *province;
	const char *locality;
	const char *street_address;
	const char *organization;
	const char *organizational_unit;
};

struct certificate_names {
	const char *dns[CERTIFICATE_NAMES_MAX];
	unsigned n_dns;
	const char *ip[CERTIFICATE_NAMES_MAX];
	unsigned n_ip;
};

/* Whether it may stand in a certificate's names; the latter also in a file's. */
bool certificate_is_dns_name(const char *text);
bool certificate_is_ip(const char *text);

/* An authority that signs itself. With `domains` (else NULL) it is good for DNS names below these only. */
int certificate_make_ca(const struct certificate_subject *subject, const struct certificate_names *domains, long days,
			struct certificate *out, char why[CERTIFICATE_WHY]);

/* One that the authority signs: for both ends of a connection, or for who connects only. It is checked as a peer
 * would: one that an authority may not sign is not made. */
int certificate_make(const struct certificate *ca, const char *common_name, const struct certificate_names *names,
		     bool serves, long days, struct certificate *out, char why[CERTIFICATE_WHY]);

/* The first certificate of a file; and an authority with its key, which must belong together. */
int certificate_load(const char *path, struct certificate *out, char why[CERTIFICATE_WHY]);
int certificate_load_ca(const char *path, const char *key_path, struct certificate *out, char why[CERTIFICATE_WHY]);

/* Into two files, neither of which may exist; both are there or none. Nobody but their owner may read the key. */
int certificate_save(const struct certificate *c, const char *path, const char *key_path, char why[CERTIFICATE_WHY]);

bool certificate_is_ca(const struct certificate *c);

/* What it says, as lists of two columns want it: texts for free(), NULL for want of memory. */
struct certificate_info {
	char *serial;      /* Decimal. */
	char *issuer;      /* Common names. */
	char *common_name;
	char *expiry;      /* 2027-01-31 12:00:00 +0000 UTC */
	char *dns_names;   /* [a b] */
	char *ip_addresses;
};

void certificate_describe(const struct certificate *c, struct certificate_info *info);
void certificate_info_close(struct certificate_info *info);

void certificate_close(struct certificate *c);

#endif /* CLI_CERTIFICATE_H_ */
