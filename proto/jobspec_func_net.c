/* Functions of the job language: networks. */
#include <arpa/inet.h>
#include <stdio.h>

#include "proto/error.h"
#include "proto/jobspec_func.h"

typedef unsigned __int128 address_bits;

/* The address's bits are the lowest 32, or all 128. */
struct prefix {
	address_bits base; /* Without bits of hosts. */
	int len;
	int bits;
};

static address_bits mask_of(int bits, int len)
{
	address_bits all = bits == 128 ? ~(address_bits)0 : ((address_bits)1 << bits) - 1;

	return len == 0 ? 0 : all & ~(len == bits ? 0 : ((address_bits)1 << (bits - len)) - 1);
}

static bool read_address(const char *text, struct prefix *p)
{
	uint8_t at[16];
	int i;

	p->bits = strchr(text, ':') != NULL ? 128 : 32;
	if (inet_pton(p->bits == 128 ? AF_INET6 : AF_INET, text, at) != 1) {
		return false;
	}
	for (p->base = 0, i = 0; i < p->bits / 8; i++) {
		p->base = p->base << 8 | at[i];
	}
	return true;
}

static int read_prefix(struct call *c, struct prefix *p)
{
	const char *text = c->args[0].string;
	const char *slash = strchr(text, '/');
	size_t n = slash != NULL ? (size_t)(slash - text) : 0;
	char address[INET6_ADDRSTRLEN];
	int end = 0;

	if (n > 0 && n < sizeof(address)) {
		memcpy(address, text, n);
		address[n] = '\0';
		if (read_address(address, p) && strspn(slash + 1, "0123456789") == strlen(slash + 1) &&
		    sscanf(slash + 1, "%3d%n", &p->len, &end) == 1 && slash[1 + end] == '\0' && p->len <= p->bits) {
			p->base &= mask_of(p->bits, p->len);
			return 0;
		}
	}
	return call_fail(c, "\"%.60s\" is not a prefix such as 10.0.0.0/8", text);
}

/* With a length of -1, without it. */
static void put_address(struct buf *out, address_bits base, int bits, int len)
{
	char text[INET6_ADDRSTRLEN];
	uint8_t at[16];
	int i;

	for (i = bits / 8 - 1; i >= 0; i--, base >>= 8) {
		at[i] = (uint8_t)base;
	}
	buf_str(out, inet_ntop(bits == 128 ? AF_INET6 : AF_INET, at, text, sizeof(text)) != NULL ? text : "");
	if (len >= 0) {
		buf_printf(out, "/%d", len);
	}
}

static int give_address(struct call *c, address_bits base, int bits, int len)
{
	struct buf out = {0};

	put_address(&out, base, bits, len);
	return give_buf(c, &out);
}

static bool fits(address_bits n, int bits)
{
	return bits >= 128 || n >> bits == 0;
}

/* A number below zero counts from the end. */
static int run_cidrhost(struct call *c)
{
	address_bits host;
	struct prefix p;
	int64_t n;
	int rv = read_prefix(c, &p);

	if (rv != 0 || !call_int(c, 1, INT64_MIN + 1, INT64_MAX, &n)) {
		return ERR_INVALID;
	}
	if (!fits((address_bits)(n < 0 ? -(n + 1) : n), p.bits - p.len)) {
		return call_fail(c, "a prefix of %d does not accommodate a host numbered %lld", p.len, (long long)n);
	}
	host = (address_bits)n & ~mask_of(p.bits, p.len) & mask_of(p.bits, p.bits);
	return give_address(c, p.base | host, p.bits, -1);
}

static int run_cidrnetmask(struct call *c)
{
	struct prefix p;
	int rv = read_prefix(c, &p);

	if (rv != 0) {
		return rv;
	}
	if (p.bits == 128) {
		return call_fail(c, "only IPv4 has netmasks");
	}
	return give_address(c, mask_of(p.bits, p.len), p.bits, -1);
}

static int run_cidrsubnet(struct call *c)
{
	struct prefix p;
	int64_t more;
	int64_t n;
	int rv = read_prefix(c, &p);

	if (rv != 0 || !call_int(c, 1, 0, 128, &more) || !call_int(c, 2, 0, INT64_MAX, &n)) {
		return ERR_INVALID;
	}
	if (p.len + more > p.bits) {
		return call_fail(c, "not enough remaining address space for a subnet with a prefix of %d bits after %s",
				 p.len + (int)more, c->args[0].string);
	}
	if (!fits((address_bits)n, (int)more)) {
		return call_fail(c, "prefix extension of %d does not accommodate a subnet numbered %lld", (int)more,
				 (long long)n);
	}
	if (p.len + more > 0) {
		p.base |= (address_bits)n << (p.bits - p.len - more) % 128;
	}
	return give_address(c, p.base, p.bits, p.len + (int)more);
}

/* One subnet after the other, each at the first place that it fits. */
static int next_subnet(struct call *c, const struct prefix *p, uint32_t arg, address_bits *used, struct hcl_value *out)
{
	struct call into = *c;
	int64_t more;
	address_bits size;

	if (!call_int(c, arg, 1, 32, &more)) {
		return ERR_INVALID;
	}
	if (p->len + more > p->bits) {
		return call_fail(c, "not enough remaining address space for a subnet with a prefix of %d bits",
				 p->len + (int)more);
	}
	size = (address_bits)1 << (p->bits - p->len - more);
	*used = (*used + size - 1) & ~(size - 1);
	if (!fits(*used, p->bits - p->len)) {
		return call_fail(c, "not enough remaining address space for argument %u", arg + 1);
	}
	into.out = out;
	*used += size;
	return give_address(&into, p->base | (*used - size), p->bits, p->len + (int)more);
}

static int run_cidrsubnets(struct call *c)
{
	struct hcl_value *at = call_alloc(c, c->n, sizeof(*at));
	address_bits used = 0;
	struct prefix p;
	uint32_t i;
	int rv = at != NULL ? read_prefix(c, &p) : call_nomem(c);

	for (i = 1; i < c->n && rv == 0; i++) {
		rv = next_subnet(c, &p, i, &used, &at[i - 1]);
	}
	return rv == 0 ? give_list(c, at, c->n - 1) : rv;
}

const struct function jobspec_net_functions[] = {
	{"cidrhost", "sn", run_cidrhost},      {"cidrnetmask", "s", run_cidrnetmask},
	{"cidrsubnet", "snn", run_cidrsubnet}, {"cidrsubnets", "sn*", run_cidrsubnets},
	{NULL, NULL, NULL},
};
