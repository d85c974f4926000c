#include "test/unit/unit.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/driver.h"
#include "client/fingerprint.h"
#include "client/vars.h"

static char root[64];
static struct arena mem;
static struct client_config config;

static void put(const char *path, const char *text)
{
	char full[256];
	char *slash;
	FILE *f;

	snprintf(full, sizeof(full), "%s%s", root, path);
	for (slash = full + strlen(root) + 1; (slash = strchr(slash, '/')) != NULL; slash++) {
		*slash = '\0';
		mkdir(full, 0755);
		*slash = '/';
	}
	f = fopen(full, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static int make(void **state)
{
	(void)state;
	snprintf(root, sizeof(root), "/tmp/drover-fp-XXXXXX");
	assert_non_null(mkdtemp(root));
	config = (struct client_config){.name = "host1",
	                                .region = "global",
	                                .datacenter = "dc1",
	                                .node_class = "",
	                                .node_pool = "",
	                                .state_dir = root,
	                                .alloc_dir = root,
	                                .http_addr = "127.0.0.1:4646",
	                                .program_version = "0.1.0",
	                                .network_interface = "",
	                                .reserved_ports = ""};
	put("/proc/cpuinfo", "processor\t: 0\nmodel name\t: Test CPU\ncpu MHz\t\t: 2399.6\n\nprocessor\t: 1\ncpu MHz\t\t: 800.0\n");
	put("/proc/meminfo", "MemTotal:        8388608 kB\nMemFree: 1 kB\n");
	put("/proc/cgroups", "x");
	put("/proc/net/route", "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\n"
	                       "lo\t00000000\t0100007F\t0003\t0\t0\t5\t00000000\n"
	                       "far0\t00000000\t0100007F\t0003\t0\t0\t9\t00000000\n");
	put("/sys/devices/system/cpu/online", "0-2,7\n");
	put("/sys/devices/system/node/online", "0-1\n");
	put("/sys/devices/system/node/node0/cpulist", "0-1\n");
	put("/sys/devices/system/node/node1/cpulist", "2,7\n");
	put("/sys/devices/system/cpu/cpu7/topology/physical_package_id", "1\n");
	put("/etc/os-release", "NAME=\"Debian GNU/Linux\"\nVERSION_ID=\"12\"\nID=debian\n");
	return 0;
}

static int release(void **state)
{
	char command[128];

	(void)state;
	arena_close(&mem);
	snprintf(command, sizeof(command), "rm -rf %s", root);
	return system(command);
}

static struct node look(const char *at, struct driver_host *drivers)
{
	struct fingerprint_args args = {.config = &config,
	                                .root = at,
	                                .node_id = "id",
	                                .secret_id = "secret",
	                                .drivers = drivers,
	                                .now_ns = 1};
	struct node node;

	assert_int_equal(fingerprint(&args, &node, &mem), 0);
	return node;
}

static void assert_attribute(const struct node *n, const char *key, const char *want)
{
	const char *got = map_find(&n->attributes, key);

	if (got == NULL || strcmp(got, want) != 0) {
		fail_msg("%s is %s, not %s", key, got == NULL ? "unset" : got, want);
	}
}

static void the_processors_are_counted_and_placed(void **state)
{
	struct node n = look(root, NULL);
	const struct node_topology *t = n.node_resources->processors->topology;

	(void)state;
	assert_int_equal(n.node_resources->cpu->total_cpu_cores, 4);
	assert_int_equal(n.node_resources->cpu->cpu_shares, 4 * 2400);
	assert_int_equal(n.node_resources->cpu->reservable_cpu_cores.at[3], 7);
	assert_attribute(&n, "cpu.numcores", "4");
	assert_attribute(&n, "cpu.frequency", "2400");
	assert_attribute(&n, "cpu.totalcompute", "9600");
	assert_attribute(&n, "cpu.modelname", "Test CPU");
	assert_attribute(&n, "numa.node.count", "2");
	assert_attribute(&n, "numa.node1.cores", "2");
	assert_int_equal(t->cores.n, 4);
	assert_int_equal(t->cores.at[1].node_id, 0);
	assert_int_equal(t->cores.at[3].node_id, 1);
	assert_int_equal(t->cores.at[3].socket_id, 1);
	assert_int_equal(t->cores.at[0].guess_speed, 2400);
}

static void clocks_are_believed_in_the_right_order(void **state)
{
	struct node n;

	(void)state;
	put("/sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq", "3000000\n");
	n = look(root, NULL);
	assert_int_equal(n.node_resources->cpu->cpu_shares, 3000 + 3 * 2400);
	put("/sys/devices/system/cpu/cpu0/cpufreq/base_frequency", "2000000\n");
	n = look(root, NULL);
	assert_int_equal(n.node_resources->cpu->cpu_shares, 2000 + 3 * 2400);
	config.cpu_total_compute_mhz = 5000;
	config.reserved_cpu_mhz = 600;
	n = look(root, NULL);
	assert_int_equal(n.node_resources->cpu->cpu_shares, 5000);
	assert_attribute(&n, "cpu.usablecompute", "4400");
	assert_int_equal(n.reserved_resources->cpu->cpu_shares, 600);
}

static void the_system_memory_and_disk_are_told(void **state)
{
	struct node n = look(root, NULL);

	(void)state;
	assert_attribute(&n, "kernel.name", "linux");
	assert_attribute(&n, "os.name", "debian");
	assert_attribute(&n, "os.version", "12");
	assert_attribute(&n, "os.cgroups.version", "1");
	assert_attribute(&n, "nomad.version", "2.0.6");
	assert_attribute(&n, "drover.version", "0.1.0");
	assert_attribute(&n, "memory.totalbytes", "8589934592");
	assert_int_equal(n.node_resources->memory->memory_mb, 8192);
	assert_true(n.node_resources->disk->disk_mb > 0);
	assert_non_null(strstr(map_find(&n.attributes, "os.signals"), "SIGUSR1"));
	put("/sys/fs/cgroup/cgroup.controllers", "cpu\n");
	config.memory_total_mb = 100;
	config.disk_free_mb = 77;
	n = look(root, NULL);
	assert_attribute(&n, "os.cgroups.version", "2");
	assert_attribute(&n, "memory.totalbytes", "104857600");
	assert_int_equal(n.node_resources->disk->disk_mb, 77);
}

static void the_network_is_that_of_the_best_default_route(void **state)
{
	struct node n = look(root, NULL);
	const struct node_network *net = &n.node_resources->node_networks.at[0];

	(void)state;
	assert_int_equal(n.node_resources->node_networks.n, 1);
	assert_string_equal(net->device, "lo");
	assert_string_equal(net->addresses.at[0].address, "127.0.0.1");
	assert_string_equal(net->addresses.at[0].gateway, "127.0.0.1");
	assert_int_equal(net->speed, 1000);
	assert_attribute(&n, "unique.network.ip-address", "127.0.0.1");
	assert_string_equal(n.node_resources->networks.at[0].ip, "127.0.0.1");
	assert_string_equal(n.node_resources->networks.at[0].cidr, "127.0.0.1/32");
}

static void what_the_configuration_says_is_in_the_node(void **state)
{
	struct client_host_volume volumes[] = {{"z", "/z", false}, {"a", "/a", true}};
	struct node n;

	(void)state;
	config.host_volumes = volumes;
	config.n_host_volumes = 2;
	config.reserved_ports = "22";
	n = look(root, NULL);
	assert_string_equal(n.id, "id");
	assert_string_equal(n.name, "host1");
	assert_string_equal(n.node_pool, "default");
	assert_string_equal(n.status, "ready");
	assert_string_equal(n.host_volumes.keys[0], "a");
	assert_true(n.host_volumes.at[0].read_only);
	assert_string_equal(n.host_volumes.at[1].path, "/z");
	assert_string_equal(n.reserved_resources->networks->reserved_host_ports, "22");
	assert_true(object_valid(&node_type, &n, &(struct fault){.path = ""}));
}

static void the_class_ignores_what_is_unique(void **state)
{
	struct node n = look(root, NULL);
	struct pair attributes[] = {{"cpu.arch", "x"}, {"unique.hostname", "a"}};
	char first[64];

	(void)state;
	assert_true(strncmp(n.computed_class, "v1:", 3) == 0);
	n.attributes = (struct map){attributes, 2};
	snprintf(first, sizeof(first), "%s", fingerprint_class(&n, &mem));
	attributes[1].value = "b";
	assert_string_equal(fingerprint_class(&n, &mem), first);
	attributes[0].value = "y";
	assert_string_not_equal(fingerprint_class(&n, &mem), first);
	attributes[0].value = "x";
	n.node_class = "big";
	assert_string_not_equal(fingerprint_class(&n, &mem), first);
}

static void a_machine_that_tells_nothing_is_a_node_all_the_same(void **state)
{
	struct node n;

	(void)state;
	config.network_interface = "none0";
	n = look("/nowhere", NULL);
	assert_int_equal(n.node_resources->cpu->total_cpu_cores, 1);
	assert_int_equal(n.node_resources->node_networks.n, 1);
	assert_int_equal(n.node_resources->networks.n, 0);
}

static void this_machine_is_a_node(void **state)
{
	struct buf json = {0};
	struct node n = look("", NULL);

	(void)state;
	json_encode(&node_type, &n, &json);
	assert_non_null(strstr(buf_text(&json), "\"kernel.name\":\"linux\""));
	assert_true(n.node_resources->cpu->cpu_shares > 0);
	assert_true(n.node_resources->memory->memory_mb > 0);
	buf_close(&json);
}

#define T(test) cmocka_unit_test_setup_teardown(test, make, release)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        T(the_processors_are_counted_and_placed),
	        T(clocks_are_believed_in_the_right_order),
	        T(the_system_memory_and_disk_are_told),
	        T(the_network_is_that_of_the_best_default_route),
	        T(what_the_configuration_says_is_in_the_node),
	        T(the_class_ignores_what_is_unique),
	        T(a_machine_that_tells_nothing_is_a_node_all_the_same),
	        T(this_machine_is_a_node),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
