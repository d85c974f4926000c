#include "cli/hostdata.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>

#include "proto/error.h"

enum { FILE_BYTES_MAX = 64 << 10 };

static struct agent_facts facts;

static void put_text(struct buf *out, const char *text)
{
	json_put_str(out, text, strlen(text));
}

/* The beginning of a file: what cannot be read is empty. */
static void read_file(const char *path, struct buf *out)
{
	FILE *f = fopen(path, "re");
	char piece[4096];
	size_t n;

	while (f != NULL && out->len < FILE_BYTES_MAX && (n = fread(piece, 1, sizeof(piece), f)) > 0) {
		buf_put(out, piece, n);
	}
	if (f != NULL) {
		fclose(f);
	}
}

static void put_file(struct buf *out, const char *path)
{
	struct buf text = {0};

	read_file(path, &text);
	json_put_str(out, text.len > 0 ? text.at : "", text.len);
	buf_close(&text);
}

static void put_system(struct buf *out)
{
	struct utsname name;

	if (uname(&name) != 0) {
		put_text(out, "");
		return;
	}
	{
		char text[3 * sizeof(name.release)];

		snprintf(text, sizeof(text), "%s %s %s", name.sysname, name.release, name.machine);
		put_text(out, text);
	}
}

static const char *address_text(const struct ifaddrs *a, char text[INET6_ADDRSTRLEN])
{
	const void *at = NULL;

	if (a->ifa_addr != NULL && a->ifa_addr->sa_family == AF_INET) {
		at = &((const struct sockaddr_in *)(const void *)a->ifa_addr)->sin_addr;
	} else if (a->ifa_addr != NULL && a->ifa_addr->sa_family == AF_INET6) {
		at = &((const struct sockaddr_in6 *)(const void *)a->ifa_addr)->sin6_addr;
	}
	return at != NULL ? inet_ntop(a->ifa_addr->sa_family, at, text, INET6_ADDRSTRLEN) : NULL;
}

/* One entry for each address. */
static void put_networks(struct buf *out)
{
	struct ifaddrs *all = NULL;
	bool first = true;

	buf_byte(out, '[');
	if (getifaddrs(&all) == 0) {
		for (const struct ifaddrs *a = all; a != NULL; a = a->ifa_next) {
			char text[INET6_ADDRSTRLEN];
			const char *address = address_text(a, text);

			if (address == NULL) {
				continue;
			}
			buf_str(out, first ? "{\"Name\":" : ",{\"Name\":");
			first = false;
			put_text(out, a->ifa_name);
			buf_str(out, ",\"Address\":");
			put_text(out, address);
			buf_byte(out, '}');
		}
		freeifaddrs(all);
	}
	buf_byte(out, ']');
}

static void put_disk(struct buf *out, const char *path)
{
	struct statvfs fs;

	if (statvfs(path, &fs) == 0) {
		buf_printf(out, "{\"%s\":{\"Size\":%llu,\"Used\":%llu,\"Available\":%llu}}", path,
			   (unsigned long long)fs.f_blocks * fs.f_frsize,
			   (unsigned long long)(fs.f_blocks - fs.f_bfree) * fs.f_frsize,
			   (unsigned long long)fs.f_bavail * fs.f_frsize);
	} else {
		buf_str(out, "{}");
	}
}

/* The environment is not told: it may hold secrets. */
static int host(struct buf *out)
{
	buf_str(out, "{\"OS\":");
	put_system(out);
	buf_str(out, ",\"Network\":");
	put_networks(out);
	buf_str(out, ",\"ResolvConf\":");
	put_file(out, "/etc/resolv.conf");
	buf_str(out, ",\"Hosts\":");
	put_file(out, "/etc/hosts");
	buf_str(out, ",\"Environment\":{},\"Disk\":");
	put_disk(out, "/");
	buf_byte(out, '}');
	return out->failed ? ERR_NOMEM : 0;
}

static int cmdline(struct buf *out)
{
	read_file("/proc/self/cmdline", out);
	if (out->len > 0 && out->at[out->len - 1] == '\0') {
		out->len--;
	}
	return out->failed ? ERR_NOMEM : 0;
}

const struct agent_facts *agent_hostdata(const struct agent_config *config)
{
	facts = (struct agent_facts){.host = host, .cmdline = cmdline, .debug = config->enable_debug};
	return &facts;
}
