#include "client/fingerprint_parts.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <inttypes.h>
#include <limits.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

enum { ADDRESSES_MAX = 32, SPEED_UNKNOWN_MBITS = 1000 };

struct route {
	char device[IF_NAMESIZE];
	char gateway[INET_ADDRSTRLEN];
};

/* The route that everything without a better one takes, of those the one with the least metric. */
static bool default_route(struct fp *fp, struct route *out)
{
	FILE *file = fp_open(fp, "/proc/net/route");
	unsigned best = UINT_MAX;
	char line[256];

	while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
		struct in_addr gateway;
		char device[17];
		unsigned to;
		unsigned via;
		unsigned flags;
		unsigned metric;

		if (sscanf(line, "%16s %x %x %x %*s %*s %u", device, &to, &via, &flags, &metric) == 5 && to == 0 &&
		    (flags & 1) != 0 && metric < best) {
			best = metric;
			gateway.s_addr = via;
			snprintf(out->device, sizeof(out->device), "%.15s", device);
			inet_ntop(AF_INET, &gateway, out->gateway, sizeof(out->gateway));
		}
	}
	if (file != NULL) {
		fclose(file);
	}
	return best != UINT_MAX;
}

/* An address as text; false for what is neither IPv4 nor IPv6, or local to the link. */
static bool address_text(const struct sockaddr *sa, char text[INET6_ADDRSTRLEN])
{
	if (sa == NULL) {
		return false;
	}
	if (sa->sa_family == AF_INET) {
		const struct sockaddr_in *in = (const void *)sa;

		return inet_ntop(AF_INET, &in->sin_addr, text, INET6_ADDRSTRLEN) != NULL;
	}
	if (sa->sa_family == AF_INET6) {
		const struct sockaddr_in6 *in6 = (const void *)sa;

		return !IN6_IS_ADDR_LINKLOCAL(&in6->sin6_addr) &&
		       inet_ntop(AF_INET6, &in6->sin6_addr, text, INET6_ADDRSTRLEN) != NULL;
	}
	return false;
}

static void add_address(struct fp *fp, struct node_network *net, const struct ifaddrs *from, const char *gateway)
{
	char text[INET6_ADDRSTRLEN];
	struct node_address *a = &net->addresses.at[net->addresses.n];

	if (net->addresses.n == ADDRESSES_MAX || !address_text(from->ifa_addr, text)) {
		return;
	}
	object_init(&node_address_type, a);
	a->alias = "default";
	a->address = arena_strdup(fp->mem, text);
	a->family = from->ifa_addr->sa_family == AF_INET ? "ipv4" : "ipv6";
	a->gateway = from->ifa_addr->sa_family == AF_INET ? gateway : "";
	a->reserved_ports = fp->config->reserved_ports;
	if (a->address != NULL) {
		net->addresses.n++;
	}
}

static int64_t speed_of(struct fp *fp, const char *device)
{
	char path[128];
	int64_t speed;

	if (fp->config->network_speed_mbits > 0) {
		return fp->config->network_speed_mbits;
	}
	snprintf(path, sizeof(path), "/sys/class/net/%s/speed", device);
	speed = fp_number(fp, path, 0);
	return speed > 0 ? speed : SPEED_UNKNOWN_MBITS;
}

/* One network resource for each address, as the scheduler wants them. */
static void offer_addresses(struct fp *fp, const struct node_network *net)
{
	struct node_resources *resources = fp->node->node_resources;
	uint32_t i;

	resources->networks.at = fp_alloc(fp, net->addresses.n, sizeof(resources->networks.at[0]));
	for (i = 0; resources->networks.at != NULL && i < net->addresses.n; i++) {
		struct network_resource *r = &resources->networks.at[i];
		const struct node_address *a = &net->addresses.at[i];

		object_init(&network_resource_type, r);
		r->mode = "host";
		r->device = net->device;
		r->ip = a->address;
		r->cidr = arena_printf(fp->mem, "%s/%d", a->address, strcmp(a->family, "ipv4") == 0 ? 32 : 128);
		r->mbits = (struct opt){.at = net->speed, .set = true};
		resources->networks.n++;
	}
}

static void tell_network(struct fp *fp, const struct node_network *net)
{
	uint32_t i;

	for (i = 0; i < net->addresses.n; i++) {
		if (strcmp(net->addresses.at[i].family, "ipv4") == 0 || i + 1 == net->addresses.n) {
			vars_put(&fp->attributes, "unique.network.ip-address", net->addresses.at[i].address);
			return;
		}
	}
}

static void describe(struct fp *fp, struct node_network *net, const char *device, const char *gateway)
{
	struct ifaddrs *all = NULL;
	const struct ifaddrs *i;
	char path[128];

	net->device = arena_strdup(fp->mem, device);
	snprintf(path, sizeof(path), "/sys/class/net/%s/address", device);
	net->mac_address = fp_line(fp, path);
	net->mac_address = net->mac_address == NULL ? "" : net->mac_address;
	net->speed = speed_of(fp, device);
	net->addresses.at = fp_alloc(fp, ADDRESSES_MAX, sizeof(net->addresses.at[0]));
	if (net->device == NULL || net->addresses.at == NULL || getifaddrs(&all) != 0) {
		return;
	}
	for (i = all; i != NULL; i = i->ifa_next) {
		if (strcmp(i->ifa_name, device) == 0) {
			add_address(fp, net, i, gateway);
		}
	}
	freeifaddrs(all);
}

void fingerprint_network(struct fp *fp)
{
	struct node_resources *resources = fp->node->node_resources;
	struct node_network *net = fp_alloc(fp, 1, sizeof(*net));
	struct route route = {.device = "lo"};
	bool routed = default_route(fp, &route);
	const char *device = fp->config->network_interface[0] != '\0' ? fp->config->network_interface : route.device;
	const char *gateway = routed && strcmp(device, route.device) == 0 ? arena_strdup(fp->mem, route.gateway) : "";

	if (net == NULL || gateway == NULL) {
		return;
	}
	object_init(&node_network_type, net);
	net->mode = "host";
	describe(fp, net, device, gateway);
	resources->node_networks.at = net;
	resources->node_networks.n = net->device == NULL ? 0 : 1;
	offer_addresses(fp, net);
	tell_network(fp, net);
}
