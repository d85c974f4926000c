#include "test/unit/proto/random_job.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct gen {
	struct buf *out;
	uint64_t *state;
	const char *type;    /* Of the job. */
	bool comma;          /* Something stands before the next member. */
	bool service, system; /* What its type allows: updates; no affinities, spreads, several at once. */
	bool restarts;        /* Checks of the service restart tasks. */
};

#define S INT64_C(1000000000)
#define CHOICES(...) (const char *const[]){__VA_ARGS__, NULL}

static uint64_t below(struct gen *g, uint64_t n)
{
	return random_next(g->state) % n;
}

static bool once_in(struct gen *g, unsigned n)
{
	return below(g, n) == 0;
}

/* ---- JSON ---- */

static void key(struct gen *g, const char *name)
{
	if (g->comma) {
		buf_byte(g->out, ',');
	}
	g->comma = false;
	if (name != NULL) {
		buf_printf(g->out, "\"%s\":", name);
	}
}

static void begin(struct gen *g, const char *name, char bracket)
{
	key(g, name);
	buf_byte(g->out, bracket);
}

static void end(struct gen *g, char bracket)
{
	buf_byte(g->out, bracket);
	g->comma = true;
}

static void raw(struct gen *g, const char *name, const char *value)
{
	key(g, name);
	buf_str(g->out, value);
	g->comma = true;
}

static void number(struct gen *g, const char *name, int64_t n)
{
	key(g, name);
	buf_printf(g->out, "%" PRId64, n);
	g->comma = true;
}

static void text(struct gen *g, const char *name, const char *value)
{
	key(g, name);
	json_put_str(g->out, value, strlen(value));
	g->comma = true;
}

/* Whether a member is given at all; it may be given as null. */
static bool given(struct gen *g, const char *name)
{
	switch (below(g, 8)) {
	case 0:
		raw(g, name, "null");
		return false;
	case 1:
	case 2:
	case 3:
		return false;
	default:
		return true;
	}
}

/* ---- members that may be there ---- */

static void maybe_number(struct gen *g, const char *name, int64_t low, int64_t high)
{
	if (given(g, name)) {
		number(g, name, low + (int64_t)below(g, (uint64_t)(high - low + 1)));
	}
}

/* In seconds; as a number of nanoseconds, or as a text. */
static void duration(struct gen *g, const char *name, unsigned low, unsigned high)
{
	unsigned s = low + (unsigned)below(g, high - low + 1);

	if (once_in(g, 2)) {
		number(g, name, s * S);
	} else {
		key(g, name);
		buf_printf(g->out, "\"%us\"", s);
		g->comma = true;
	}
}

static void maybe_duration(struct gen *g, const char *name, unsigned low, unsigned high)
{
	if (given(g, name)) {
		duration(g, name, low, high);
	}
}

static void maybe_flag(struct gen *g, const char *name)
{
	if (given(g, name)) {
		raw(g, name, once_in(g, 2) ? "true" : "false");
	}
}

static const char *one_of(struct gen *g, const char *const *choices)
{
	size_t n = 0;

	while (choices[n] != NULL) {
		n++;
	}
	return choices[below(g, n)];
}

static void maybe_text(struct gen *g, const char *name, const char *const *choices)
{
	if (given(g, name)) {
		text(g, name, one_of(g, choices));
	}
}

static void maybe_texts(struct gen *g, const char *name)
{
	if (given(g, name)) {
		begin(g, name, '[');
		for (uint64_t n = below(g, 4); n > 0; n--) {
			text(g, NULL, one_of(g, CHOICES("a", "b", "", "two words", "caf\xc3\xa9", "${node.unique.id}")));
		}
		end(g, ']');
	}
}

static void maybe_map(struct gen *g, const char *name)
{
	if (given(g, name)) {
		begin(g, name, '{');
		for (uint64_t n = below(g, 4); n > 0; n--) {
			char k[16];

			snprintf(k, sizeof(k), "k%u", (unsigned)below(g, 5));
			text(g, k, one_of(g, CHOICES("1", "", "x y", "\"quoted\"", "\xf0\x9f\x98\x80", "a\nb")));
		}
		end(g, '}');
	}
}

/* Some elements of a list, each made by `one`, which is given its number. */
static void maybe_list(struct gen *g, const char *name, unsigned max, void (*one)(struct gen *g, unsigned i))
{
	if (given(g, name)) {
		unsigned n = (unsigned)below(g, max + 1);

		begin(g, name, '[');
		for (unsigned i = 0; i < n; i++) {
			begin(g, NULL, '{');
			one(g, i);
			end(g, '}');
		}
		end(g, ']');
	}
}

static void maybe_object(struct gen *g, const char *name, void (*members)(struct gen *g))
{
	if (given(g, name)) {
		begin(g, name, '{');
		members(g);
		end(g, '}');
	}
}

/* ---- where it may run ---- */

static void constraint(struct gen *g, unsigned i)
{
	(void)i;
	text(g, "LTarget", one_of(g, CHOICES("${attr.kernel.name}", "${meta.rack}", "${node.class}")));
	switch (below(g, 4)) {
	case 0:
		text(g, "RTarget", "linux");
		text(g, "Operand", one_of(g, CHOICES("=", "!=", "is", "not", "<", "set_contains_any")));
		break;
	case 1:
		text(g, "RTarget", "^l.*x$");
		text(g, "Operand", "regexp");
		break;
	case 2:
		text(g, "RTarget", ">= 1.0.0, < 9.0.0");
		text(g, "Operand", one_of(g, CHOICES("version", "semver")));
		break;
	default:
		text(g, "Operand", one_of(g, CHOICES("is_set", "is_not_set")));
	}
}

static void affinity(struct gen *g, unsigned i)
{
	(void)i;
	text(g, "LTarget", "${node.datacenter}");
	text(g, "RTarget", one_of(g, CHOICES("dc1", "dc2")));
	maybe_text(g, "Operand", CHOICES("=", "!=", ""));
	maybe_number(g, "Weight", 1, 100);
}

static void spread_target(struct gen *g, unsigned i)
{
	char value[8];

	snprintf(value, sizeof(value), "dc%u", i);
	text(g, "Value", value);
	maybe_number(g, "Percent", 0, 30);
}

static void spread(struct gen *g, unsigned i)
{
	(void)i;
	text(g, "Attribute", "${node.datacenter}");
	maybe_number(g, "Weight", 1, 100);
	maybe_list(g, "SpreadTarget", 3, spread_target);
}

static void wishes(struct gen *g)
{
	maybe_list(g, "Constraints", 3, constraint);
	if (!g->system) {
		maybe_list(g, "Affinities", 2, affinity);
	}
}

/* ---- policies ---- */

static void restart_policy(struct gen *g)
{
	bool delays = once_in(g, 3);

	if (delays) {
		number(g, "Attempts", 1 + (int64_t)below(g, 4));
		text(g, "Mode", "delay");
	} else {
		/* None would be ambiguous in a task whose group has mode "delay". */
		maybe_number(g, "Attempts", 1, 4);
		maybe_text(g, "Mode", CHOICES("fail"));
	}
	maybe_duration(g, "Interval", 300, 3600);
	maybe_duration(g, "Delay", 0, 20);
	maybe_flag(g, "RenderTemplates");
}

static void reschedule_policy(struct gen *g)
{
	if (once_in(g, 2)) {
		number(g, "Attempts", 0);
		raw(g, "Unlimited", "true");
		text(g, "DelayFunction", one_of(g, CHOICES("exponential", "fibonacci", "constant")));
		duration(g, "MaxDelay", 60, 7200);
		maybe_duration(g, "Delay", 5, 60);
	} else {
		number(g, "Attempts", (int64_t)below(g, 3));
		raw(g, "Unlimited", "false");
		text(g, "DelayFunction", "constant");
		duration(g, "Interval", 600, 86400);
		duration(g, "Delay", 5, 60);
	}
}

static void update_strategy(struct gen *g)
{
	maybe_duration(g, "Stagger", 1, 60);
	maybe_number(g, "MaxParallel", 0, 4);
	maybe_text(g, "HealthCheck", CHOICES("checks", "task_states", "manual"));
	maybe_duration(g, "MinHealthyTime", 0, 60);
	maybe_duration(g, "HealthyDeadline", 61, 599);
	maybe_duration(g, "ProgressDeadline", 600, 1200);
	maybe_flag(g, "AutoRevert");
	if (once_in(g, 2)) {
		number(g, "Canary", 1 + (int64_t)below(g, 2));
		maybe_flag(g, "AutoPromote");
	}
}

static void migrate(struct gen *g)
{
	maybe_number(g, "MaxParallel", 0, 3);
	maybe_text(g, "HealthCheck", CHOICES("checks", "task_states"));
	maybe_duration(g, "MinHealthyTime", 0, 60);
	maybe_duration(g, "HealthyDeadline", 61, 600);
}

static void disconnect(struct gen *g)
{
	if (once_in(g, 2)) {
		duration(g, "LostAfter", 1, 3600);
	} else {
		maybe_duration(g, "StopOnClientAfter", 1, 3600);
	}
	maybe_flag(g, "Replace");
	maybe_text(g, "Reconcile", CHOICES("best_score", "longest_running", "keep_original", "keep_replacement"));
}

static void ephemeral_disk(struct gen *g)
{
	maybe_flag(g, "Sticky");
	maybe_flag(g, "Migrate");
	number(g, "SizeMB", 150 + (int64_t)below(g, 500));
}

/* ---- networks and services ---- */

static void port(struct gen *g, unsigned i)
{
	text(g, "Label", i == 0 ? "http" : "admin");
	maybe_number(g, "To", -1, 9000);
	maybe_text(g, "HostNetwork", CHOICES("default", ""));
}

static void network(struct gen *g, unsigned i)
{
	(void)i;
	maybe_text(g, "Mode", CHOICES("host", "bridge", ""));
	begin(g, "DynamicPorts", '[');
	begin(g, NULL, '{');
	port(g, 0);
	end(g, '}');
	end(g, ']');
	if (once_in(g, 2)) {
		begin(g, "ReservedPorts", '[');
		begin(g, NULL, '{');
		number(g, "Value", 8000 + (int64_t)below(g, 100));
		port(g, 1);
		end(g, '}');
		end(g, ']');
	}
}

static void check_restart(struct gen *g)
{
	maybe_number(g, "Limit", 0, 3);
	maybe_duration(g, "Grace", 0, 10);
	maybe_flag(g, "IgnoreWarnings");
}

static void service_check(struct gen *g, unsigned i)
{
	if (once_in(g, 2)) {
		text(g, "Name", i == 0 ? "alive" : "ready");
	}
	if (once_in(g, 2)) {
		text(g, "Type", "tcp");
	} else {
		text(g, "Type", "http");
		text(g, "Path", "/health");
		maybe_text(g, "Method", CHOICES("GET", "HEAD"));
		maybe_text(g, "Protocol", CHOICES("http", "https"));
		if (once_in(g, 3)) {
			raw(g, "Header", "{\"X-A\":[\"1\",\"2\"]}");
		}
	}
	duration(g, "Interval", 1, 60);
	duration(g, "Timeout", 1, 10);
	/* Who restarts a task by its checks cannot ignore them in updates. */
	if (g->restarts) {
		maybe_object(g, "CheckRestart", check_restart);
		maybe_text(g, "OnUpdate", CHOICES("require_healthy"));
	} else {
		maybe_text(g, "OnUpdate", CHOICES("require_healthy", "ignore_warnings", "ignore"));
	}
	maybe_number(g, "SuccessBeforePassing", 0, 3);
}

static void service(struct gen *g, unsigned i)
{
	if (i > 0 || once_in(g, 2)) {
		text(g, "Name", i == 0 ? "api" : "web-ui");
	}
	text(g, "Provider", "nomad");
	text(g, "PortLabel", "8080");
	maybe_text(g, "AddressMode", CHOICES("auto", "host"));
	maybe_texts(g, "Tags");
	maybe_texts(g, "CanaryTags");
	maybe_map(g, "Meta");
	g->restarts = once_in(g, 2);
	if (g->restarts) {
		maybe_object(g, "CheckRestart", check_restart);
	}
	maybe_list(g, "Checks", 2, service_check);
}

/* ---- tasks ---- */

static void artifact(struct gen *g, unsigned i)
{
	(void)i;
	text(g, "GetterSource", "http://127.0.0.1/a.tar.gz");
	maybe_map(g, "GetterHeaders");
	if (once_in(g, 2)) {
		raw(g, "GetterOptions", "{\"checksum\":\"md5:c4aa853ad2215426eb7d70a21922e794\"}");
	}
	maybe_text(g, "GetterMode", CHOICES("any", "file", "dir"));
	maybe_text(g, "RelativeDest", CHOICES("local/", "local/x", ""));
	maybe_flag(g, "Chown");
}

static void wait_config(struct gen *g)
{
	maybe_duration(g, "Min", 1, 5);
	maybe_duration(g, "Max", 5, 20);
}

static void template(struct gen *g, unsigned i)
{
	char dest[16];

	snprintf(dest, sizeof(dest), "local/%u", i);
	text(g, "DestPath", dest);
	text(g, "EmbeddedTmpl", "{{ env \"NOMAD_TASK_NAME\" }}\n");
	if (once_in(g, 3)) {
		text(g, "ChangeMode", "signal");
		maybe_text(g, "ChangeSignal", CHOICES("SIGHUP", "sigusr1"));
	} else {
		maybe_text(g, "ChangeMode", CHOICES("restart", "noop"));
		maybe_flag(g, "Envvars");
	}
	maybe_duration(g, "Splay", 0, 10);
	maybe_text(g, "Perms", CHOICES("0644", "600"));
	maybe_number(g, "Uid", 0, 100);
	maybe_text(g, "LeftDelim", CHOICES("{{", "[["));
	maybe_object(g, "Wait", wait_config);
	maybe_flag(g, "ErrMissingKey");
}

static void resources(struct gen *g)
{
	if (once_in(g, 4)) {
		number(g, "Cores", 1);
	} else {
		maybe_number(g, "CPU", 1, 500);
	}
	maybe_number(g, "MemoryMB", 10, 500);
	maybe_number(g, "MemoryMaxMB", 500, 900);
}

static void vault(struct gen *g)
{
	maybe_flag(g, "Env");
	maybe_text(g, "ChangeMode", CHOICES("restart", "noop"));
	maybe_text(g, "ChangeSignal", CHOICES("", "SIGINT"));
}

static void log_config(struct gen *g)
{
	maybe_number(g, "MaxFiles", 1, 10);
	maybe_number(g, "MaxFileSizeMB", 1, 10);
	maybe_flag(g, "Disabled");
}

static void identity(struct gen *g)
{
	maybe_text(g, "Name", CHOICES("default", ""));
	maybe_flag(g, "Env");
	maybe_flag(g, "File");
}

static void action(struct gen *g, unsigned i)
{
	text(g, "Name", i == 0 ? "one" : "two");
	text(g, "Command", "/bin/true");
	maybe_texts(g, "Args");
}

static void lifecycle(struct gen *g)
{
	text(g, "Hook", one_of(g, CHOICES("prestart", "poststart", "poststop")));
	maybe_flag(g, "Sidecar");
}

static void task(struct gen *g, unsigned i)
{
	char name[16];

	snprintf(name, sizeof(name), "t%u", i);
	text(g, "Name", name);
	text(g, "Driver", "mock_driver");
	maybe_text(g, "User", CHOICES("", "nobody"));
	if (once_in(g, 2)) {
		raw(g, "Config", "{\"run_for\":\"10s\",\"nested\":{\"list\":[1,\"x\",null,{\"y\":true}],\"num\":1.50}}");
	}
	maybe_map(g, "Env");
	maybe_map(g, "Meta");
	wishes(g);
	maybe_list(g, "Services", 2, service);
	maybe_list(g, "Artifacts", 2, artifact);
	maybe_list(g, "Templates", 2, template);
	maybe_list(g, "Actions", 2, action);
	maybe_object(g, "Resources", resources);
	maybe_object(g, "RestartPolicy", restart_policy);
	maybe_object(g, "LogConfig", log_config);
	if (once_in(g, 4)) {
		maybe_object(g, "Vault", vault);
	}
	maybe_object(g, "Identity", identity);
	if (i > 0) {
		maybe_object(g, "Lifecycle", lifecycle);
	} else {
		maybe_flag(g, "Leader");
	}
	maybe_duration(g, "KillTimeout", 0, 30);
	maybe_duration(g, "ShutdownDelay", 0, 10);
	maybe_text(g, "KillSignal", CHOICES("", "SIGINT"));
	if (once_in(g, 3)) {
		raw(g, "VolumeMounts", "[{\"Volume\":\"data\",\"Destination\":\"/data\"}]");
	}
}

/* ---- groups ---- */

static void scaling(struct gen *g, int64_t count)
{
	begin(g, "Scaling", '{');
	maybe_number(g, "Min", 0, count);
	number(g, "Max", count + (int64_t)below(g, 5));
	maybe_flag(g, "Enabled");
	if (once_in(g, 2)) {
		raw(g, "Policy", "{\"cooldown\":\"1m\",\"check\":[{\"x\":1}]}");
	}
	end(g, '}');
}

static void group_policies(struct gen *g)
{
	maybe_object(g, "RestartPolicy", restart_policy);
	if (strcmp(g->type, "service") == 0 || strcmp(g->type, "batch") == 0) {
		maybe_object(g, "ReschedulePolicy", reschedule_policy);
	}
	if (g->service) {
		maybe_object(g, "Update", update_strategy);
		maybe_object(g, "Migrate", migrate);
		maybe_object(g, "Disconnect", disconnect);
	}
	maybe_object(g, "EphemeralDisk", ephemeral_disk);
}

static void group(struct gen *g, unsigned i)
{
	int64_t count = (int64_t)below(g, g->system ? 2 : 4);
	char name[16];

	snprintf(name, sizeof(name), "g%u", i);
	text(g, "Name", name);
	if (once_in(g, 2) || g->system) {
		number(g, "Count", count);
		if (g->service && once_in(g, 3)) {
			scaling(g, count);
		}
	}
	wishes(g);
	if (!g->system) {
		maybe_list(g, "Spreads", 2, spread);
	}
	group_policies(g);
	maybe_list(g, "Networks", 1, network);
	maybe_list(g, "Services", 2, service);
	maybe_map(g, "Meta");
	maybe_duration(g, "ShutdownDelay", 0, 10);
	raw(g, "Volumes", once_in(g, 2) ? "{\"data\":{\"Type\":\"host\",\"Source\":\"d\",\"ReadOnly\":true}}"
					: "{\"data\":{\"Name\":\"data\",\"Type\":\"host\",\"Source\":\"d\"}}");
	begin(g, "Tasks", '[');
	for (unsigned k = 0, n = 1 + (unsigned)below(g, 2); k < n; k++) {
		begin(g, NULL, '{');
		task(g, k);
		end(g, '}');
	}
	end(g, ']');
}

/* ---- jobs ---- */

static void periodic(struct gen *g)
{
	if (once_in(g, 2)) {
		text(g, "Spec", one_of(g, CHOICES("@daily", "*/5 * * * *", "0 0 1 1 *")));
	} else {
		raw(g, "Specs", "[\"@hourly\",\"30 4 * * 1-5\"]");
	}
	maybe_flag(g, "Enabled");
	maybe_text(g, "SpecType", CHOICES("cron"));
	maybe_flag(g, "ProhibitOverlap");
	maybe_text(g, "TimeZone", CHOICES("UTC", "Europe/Berlin", ""));
}

static void parameterized(struct gen *g)
{
	maybe_text(g, "Payload", CHOICES("optional", "required", "forbidden", ""));
	if (once_in(g, 2)) {
		raw(g, "MetaRequired", "[\"a\",\"b\"]");
	}
	if (once_in(g, 2)) {
		raw(g, "MetaOptional", "[\"c\"]");
	}
}

static void ui(struct gen *g)
{
	maybe_text(g, "Description", CHOICES("", "A *job*"));
	if (once_in(g, 2)) {
		raw(g, "Links", "[{\"Label\":\"docs\",\"URL\":\"http://127.0.0.1/\"}]");
	}
}

static void launch(struct gen *g)
{
	bool batch = strcmp(g->type, "batch") == 0 || strcmp(g->type, "sysbatch") == 0;

	if (batch && once_in(g, 3)) {
		begin(g, "Periodic", '{');
		periodic(g);
		end(g, '}');
	} else if (batch && once_in(g, 3)) {
		begin(g, "ParameterizedJob", '{');
		parameterized(g);
		end(g, '}');
	}
}

static void job_policies(struct gen *g)
{
	if (g->service) {
		maybe_object(g, "Update", update_strategy);
		maybe_object(g, "Migrate", migrate);
	}
	if (strcmp(g->type, "service") == 0 || strcmp(g->type, "batch") == 0) {
		maybe_object(g, "Reschedule", reschedule_policy);
	}
}

void random_job(uint64_t *state, const char *id, struct buf *out)
{
	struct gen g = {.out = out, .state = state};

	g.type = one_of(&g, CHOICES("service", "service", "batch", "batch", "system", "sysbatch"));
	g.service = strcmp(g.type, "service") == 0;
	g.system = strcmp(g.type, "system") == 0;
	begin(&g, NULL, '{');
	text(&g, "ID", id);
	text(&g, "Type", g.type);
	if (once_in(&g, 3)) {
		text(&g, "Name", "named");
	}
	maybe_number(&g, "Priority", 0, 100);
	maybe_flag(&g, "AllAtOnce");
	maybe_text(&g, "Region", CHOICES("global", ""));
	maybe_text(&g, "NodePool", CHOICES("default", ""));
	if (once_in(&g, 2)) {
		raw(&g, "Datacenters", one_of(&g, CHOICES("[\"dc1\"]", "[\"dc2\",\"dc1\"]", "[]", "[\"*\"]")));
	}
	wishes(&g);
	if (!g.system) {
		maybe_list(&g, "Spreads", 2, spread);
	}
	maybe_map(&g, "Meta");
	maybe_object(&g, "UI", ui);
	job_policies(&g);
	launch(&g);
	begin(&g, "TaskGroups", '[');
	for (unsigned i = 0, n = 1 + (unsigned)below(&g, 3); i < n; i++) {
		begin(&g, NULL, '{');
		group(&g, i);
		end(&g, '}');
	}
	end(&g, ']');
	end(&g, '}');
}
