/* Certificates for a cluster: tls ca create, ca info, cert create, cert info. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/certificate.h"
#include "cli/commands.h"
#include "cli/table.h"
#include "proto/error.h"

enum { CA_DAYS = 1825, CERT_DAYS = 365 };

static bool fail(const char *why)
{
	fprintf(stderr, "Error: %s\n", why);
	return false;
}

static bool is_free(const char *path)
{
	if (access(path, F_OK) != 0) {
		return true;
	}
	fprintf(stderr, "Error: %s exists already; it is not overwritten\n", path);
	return false;
}

static bool get_days(const struct args *args, long long *days)
{
	if (!args_number(args, "days", days)) {
		return false;
	}
	return (*days >= 1 && *days <= CERTIFICATE_DAYS_MAX) || fail("-days must be between 1 and 36500");
}

/* A domain or region names files, too. */
static bool get_name(const struct args *args, const char *flag, const char *otherwise, const char **name)
{
	*name = args_get(args, flag, otherwise);
	if (certificate_is_dns_name(*name) && (*name)[0] != '*') {
		return true;
	}
	fprintf(stderr, "Error: -%s: \"%s\" cannot be part of a DNS name\n", flag, *name);
	return false;
}

/* Every value of a flag that may be given several times. */
static bool collect(const struct args *args, const char *flag, const char **to, unsigned *n)
{
	for (unsigned i = 0; i < args->n_given; i++) {
		if (strcmp(args->given[i].name, flag) != 0) {
			continue;
		}
		if (*n == CERTIFICATE_NAMES_MAX) {
			fprintf(stderr, "Error: -%s is given too often\n", flag);
			return false;
		}
		to[(*n)++] = args->given[i].value;
	}
	return true;
}

static bool save(const struct certificate *c, const char *what, const char *path, const char *key_path)
{
	char why[CERTIFICATE_WHY];

	if (certificate_save(c, path, key_path, why) != 0) {
		return fail(why);
	}
	printf("==> %s certificate saved to: %s\n==> %s certificate key saved to: %s\n", what, path, what, key_path);
	return true;
}

/* ---- authorities ---- */

static bool get_domains(const struct args *args, const char *domain, struct certificate_names *domains)
{
	domains->dns[domains->n_dns++] = domain;
	domains->dns[domains->n_dns++] = "localhost";
	return collect(args, "additional-domain", domains->dns, &domains->n_dns);
}

static int run_ca_create(struct args *args)
{
	const struct certificate_subject subject = {
		.common_name = args_get(args, "common-name", "Nomad Agent CA"),
		.country = args_get(args, "country", NULL),
		.postal_code = args_get(args, "postal-code", NULL),
		.province = args_get(args, "province", NULL),
		.locality = args_get(args, "locality", NULL),
		.street_address = args_get(args, "street-address", NULL),
		.organization = args_get(args, "organization", NULL),
		.organizational_unit = args_get(args, "organizational-unit", NULL),
	};
	struct certificate_names domains = {.n_dns = 0};
	struct certificate ca = {0};
	char why[CERTIFICATE_WHY];
	const char *domain, *path, *key_path;
	long long days = CA_DAYS;
	bool constrained = args_has(args, "name-constraint");
	bool good;

	if (!get_days(args, &days) || !get_name(args, "domain", "nomad", &domain)) {
		return EXIT_ERROR;
	}
	if (!constrained && args_get(args, "additional-domain", NULL) != NULL) {
		fail("-additional-domain has a meaning with -name-constraint only");
		return EXIT_ERROR;
	}
	path = arena_printf(args->mem, "%s-agent-ca.pem", domain);
	key_path = arena_printf(args->mem, "%s-agent-ca-key.pem", domain);
	if (path == NULL || key_path == NULL || !is_free(path) || !is_free(key_path) ||
	    !get_domains(args, domain, &domains)) {
		return EXIT_ERROR;
	}
	good = certificate_make_ca(&subject, constrained ? &domains : NULL, (long)days, &ca, why) == 0 || fail(why);
	good = good && save(&ca, "CA", path, key_path);
	certificate_close(&ca);
	return good ? EXIT_OK : EXIT_ERROR;
}

static const struct flag ca_create_flags[] = {
	{"additional-domain", "domain", "With -name-constraint: a further domain. May be given several times."},
	{"common-name", "text", "What the authority is called; \"Nomad Agent CA\" if not given."},
	{"country", "text", "Its country, in two letters."},
	{"days", "number", "For how many days it is valid; 1825 if not given."},
	{"domain", "domain", "The cluster's domain, which files are named by; \"nomad\" if not given."},
	{"locality", "text", "Its town."},
	{"name-constraint", NULL,
	 "Nobody shall accept names of other domains that it signs: only those below -domain and -additional-domain, and "
	 "localhost."},
	{"organization", "text", "Its organization,"},
	{"organizational-unit", "text", "and the unit of it."},
	{"postal-code", "text", "Its postal code."},
	{"province", "text", "Its province."},
	{"street-address", "text", "Its street."},
	{NULL, NULL, NULL},
};

const struct command command_tls_ca_create = {
	.name = "tls ca create",
	.usage = "[options]",
	.summary = "Create a certificate authority",
	.details = "Two files appear in the working directory: nomad-agent-ca.pem, which all agents and users of the "
		   "cluster need, and nomad-agent-ca-key.pem, which signs certificates: whoever has it is master of the "
		   "cluster. Files that exist are not touched.",
	.flags = ca_create_flags,
	.run = run_ca_create,
};

/* ---- certificates of agents and users ---- */

/* What a certificate is for. Servers and clients take connections and make some. */
static const struct role {
	const char *flag;
	const char *title;
	bool serves;
} roles[] = {{"server", "Server", true}, {"client", "Client", true}, {"cli", "CLI", false}};
enum { N_ROLES = sizeof(roles) / sizeof(roles[0]) };

static const struct role *get_role(const struct args *args)
{
	const struct role *found = NULL;
	unsigned n = 0;

	for (unsigned i = 0; i < N_ROLES; i++) {
		if (args_has(args, roles[i].flag)) {
			found = &roles[i];
			n++;
		}
	}
	if (n != 1) {
		fail("one of -server, -client and -cli is needed");
		return NULL;
	}
	return found;
}

struct wish {
	const struct role *role;
	const char *common_name;
	const char *ca, *ca_key;
	const char *path, *key_path;
	struct certificate_names names;
	long long days;
};

static bool get_names(const struct args *args, struct wish *w)
{
	w->names.dns[w->names.n_dns++] = w->common_name;
	w->names.dns[w->names.n_dns++] = "localhost";
	if (w->role->serves) {
		w->names.ip[w->names.n_ip++] = "127.0.0.1";
	}
	return collect(args, "additional-dnsname", w->names.dns, &w->names.n_dns) &&
	       collect(args, "additional-ipaddress", w->names.ip, &w->names.n_ip);
}

static bool get_wish(const struct args *args, struct wish *w)
{
	struct arena *mem = args->mem;
	const char *domain, *region;
	const char *region_flag = args_get(args, "region", NULL) != NULL ? "region" : "cluster-region";

	*w = (struct wish){.role = get_role(args), .days = CERT_DAYS};
	if (w->role == NULL || !get_days(args, &w->days) || !get_name(args, "domain", "nomad", &domain) ||
	    !get_name(args, region_flag, "global", &region)) {
		return false;
	}
	w->common_name = arena_printf(mem, "%s.%s.%s", w->role->flag, region, domain);
	w->ca = args_get(args, "ca", arena_printf(mem, "%s-agent-ca.pem", domain));
	w->ca_key = args_get(args, "key", arena_printf(mem, "%s-agent-ca-key.pem", domain));
	w->path = arena_printf(mem, "%s-%s-%s.pem", region, w->role->flag, domain);
	w->key_path = arena_printf(mem, "%s-%s-%s-key.pem", region, w->role->flag, domain);
	if (w->common_name == NULL || w->ca == NULL || w->ca_key == NULL || w->path == NULL || w->key_path == NULL) {
		return fail(error_text(ERR_NOMEM));
	}
	return is_free(w->path) && is_free(w->key_path) && get_names(args, w);
}

static int run_cert_create(struct args *args)
{
	struct certificate ca = {0}, c = {0};
	char why[CERTIFICATE_WHY];
	struct wish w;
	bool good;

	if (!get_wish(args, &w)) {
		return EXIT_ERROR;
	}
	good = certificate_load_ca(w.ca, w.ca_key, &ca, why) == 0 &&
	       certificate_make(&ca, w.common_name, &w.names, w.role->serves, (long)w.days, &c, why) == 0;
	if (!good) {
		fail(why);
	} else {
		if (w.role == &roles[0]) {
			printf("==> WARNING: who has the key of this certificate can be a server of the cluster and see all "
			       "that servers keep.\n"
			       "    It belongs onto servers, and nowhere else.\n");
		}
		printf("==> Using CA file %s and key %s\n", w.ca, w.ca_key);
		good = save(&c, w.role->title, w.path, w.key_path);
	}
	certificate_close(&c);
	certificate_close(&ca);
	return good ? EXIT_OK : EXIT_ERROR;
}

static const struct flag cert_create_flags[] = {
	{"additional-dnsname", "name", "A further DNS name, beside its own and localhost. May be given several times."},
	{"additional-ipaddress", "address", "A further IP address, beside 127.0.0.1. May be given several times."},
	{"ca", "file", "The authority's certificate; DOMAIN-agent-ca.pem if not given."},
	{"cli", NULL, "For people who use the command line: it cannot serve."},
	{"client", NULL, "For client agents."},
	{"cluster-region", "region", "As -region."},
	{"days", "number", "For how many days it is valid; 365 if not given."},
	{"domain", "domain", "The cluster's domain; \"nomad\" if not given."},
	{"key", "file", "The authority's key; DOMAIN-agent-ca-key.pem if not given."},
	{"region", "region", "The region; \"global\" if not given."},
	{"server", NULL, "For servers."},
	{NULL, NULL, NULL},
};

const struct command command_tls_cert_create = {
	.name = "tls cert create",
	.usage = "[options]",
	.summary = "Create a certificate for agents or users",
	.details = "Its name is server.REGION.DOMAIN, client.REGION.DOMAIN or cli.REGION.DOMAIN, by which agents know "
		   "whom they talk to. REGION-server-DOMAIN.pem and REGION-server-DOMAIN-key.pem appear in the working "
		   "directory, or likewise for clients and users. Files that exist are not touched.",
	.flags = cert_create_flags,
	.run = run_cert_create,
};

/* ---- info ---- */

static const char *text_of(const char *text)
{
	return text != NULL ? text : "?";
}

static int show(struct args *args, bool authority)
{
	struct certificate c = {0};
	struct certificate_info info;
	char why[CERTIFICATE_WHY];
	struct table t = {0};

	if (certificate_load(args->rest[0], &c, why) != 0) {
		fail(why);
		return EXIT_ERROR;
	}
	if (authority && !certificate_is_ca(&c)) {
		fprintf(stderr, "Error: %s: is not the certificate of an authority\n", args->rest[0]);
		certificate_close(&c);
		return EXIT_ERROR;
	}
	certificate_describe(&c, &info);
	table_row(&t, "Serial Number", text_of(info.serial));
	table_row(&t, "Issuer CN", text_of(info.issuer));
	table_row(&t, "Common Name", text_of(info.common_name));
	table_row(&t, "Expiry Date", text_of(info.expiry));
	table_row(&t, "DNS Names", text_of(info.dns_names));
	table_row(&t, "IP Addresses", text_of(info.ip_addresses));
	table_print(&t, stdout);
	certificate_info_close(&info);
	certificate_close(&c);
	return EXIT_OK;
}

static int run_ca_info(struct args *args)
{
	return show(args, true);
}

static int run_cert_info(struct args *args)
{
	return show(args, false);
}

const struct command command_tls_ca_info = {
	.name = "tls ca info",
	.usage = "FILE",
	.summary = "Show what an authority's certificate says",
	.min = 1,
	.max = 1,
	.run = run_ca_info,
};

const struct command command_tls_cert_info = {
	.name = "tls cert info",
	.usage = "FILE",
	.summary = "Show what a certificate says",
	.min = 1,
	.max = 1,
	.run = run_cert_info,
};
