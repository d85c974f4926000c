#include "client/capabilities.h"

#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/prctl.h>

#define BIT(number) (UINT64_C(1) << (number))

/* In the order of their numbers. */
static const char *const names[] = {
	"chown",           "dac_override",     "dac_read_search", "fowner",         "fsetid",
	"kill",            "setgid",           "setuid",          "setpcap",        "linux_immutable",
	"net_bind_service", "net_broadcast",   "net_admin",       "net_raw",        "ipc_lock",
	"ipc_owner",       "sys_module",       "sys_rawio",       "sys_chroot",     "sys_ptrace",
	"sys_pacct",       "sys_admin",        "sys_boot",        "sys_nice",       "sys_resource",
	"sys_time",        "sys_tty_config",   "mknod",           "lease",          "audit_write",
	"audit_control",   "setfcap",          "mac_override",    "mac_admin",      "syslog",
	"wake_alarm",      "block_suspend",    "audit_read",      "perfmon",        "bpf",
	"checkpoint_restore",
};

enum { NAMES_N = sizeof(names) / sizeof(names[0]) };

uint64_t capabilities_default(void)
{
	return BIT(CAP_AUDIT_WRITE) | BIT(CAP_CHOWN) | BIT(CAP_DAC_OVERRIDE) | BIT(CAP_FOWNER) | BIT(CAP_FSETID) |
	       BIT(CAP_KILL) | BIT(CAP_MKNOD) | BIT(CAP_NET_BIND_SERVICE) | BIT(CAP_SETFCAP) | BIT(CAP_SETGID) |
	       BIT(CAP_SETPCAP) | BIT(CAP_SETUID) | BIT(CAP_SYS_CHROOT);
}

uint64_t capabilities_all(void)
{
	uint64_t set = 0;
	int i;

	for (i = 0; i < NAMES_N; i++) {
		set |= prctl(PR_CAPBSET_READ, i, 0, 0, 0) == 1 ? BIT(i) : 0;
	}
	return set;
}

static uint64_t find(const char *name)
{
	int i;

	if (strcasecmp(name, "all") == 0) {
		return capabilities_all();
	}
	name += strncasecmp(name, "CAP_", 4) == 0 ? 4 : 0;
	for (i = 0; i < NAMES_N; i++) {
		if (strcasecmp(name, names[i]) == 0) {
			return BIT(i);
		}
	}
	return 0;
}

const char *capabilities_parse(const struct strs *list, uint64_t *out)
{
	uint64_t set = 0;
	uint64_t one;
	uint32_t i;

	for (i = 0; i < list->n; i++) {
		one = find(list->at[i]);
		if (one == 0) {
			return list->at[i];
		}
		set |= one;
	}
	*out = set;
	return NULL;
}

void capabilities_text(uint64_t set, char *out, size_t size)
{
	size_t n = 0;
	int i;

	out[0] = '\0';
	for (i = 0; i < NAMES_N && n < size; i++) {
		if (set & BIT(i)) {
			n += (size_t)snprintf(out + n, size - n, "%s%s", n > 0 ? ", " : "", names[i]);
		}
	}
}
