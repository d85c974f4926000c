/* Policy documents: any text is a policy or refused with a reason, in bounded time; what a policy decides is the same
 * however often it is given, and a deny beside it allows nothing more. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/policy.h"

static void check(bool good, const char *what)
{
	if (!good) {
		fprintf(stderr, "%s\n", what);
		abort();
	}
}

/* The answers to some questions, a bit each. */
static uint64_t answers(const struct acl *a)
{
	static const char *const names[] = {"default", "a", "web-1"};
	uint64_t bits = 0;

	for (unsigned i = 0; i < 3; i++) {
		for (unsigned cap = 1; cap < N_ACL_CAPS; cap++) {
			bool yes = acl_in_namespace(a, names[i], (enum acl_cap)cap);

			check(!yes || (acl_any_namespace(a, (enum acl_cap)cap) && acl_sees_namespace(a, names[i])),
			      "allowed in one namespace, but in none");
			bits = bits * 31 + yes;
		}
		for (unsigned right = 0; right < 4; right++) {
			bool yes = acl_variable(a, names[i], "a/b", (enum acl_variable_right)right);

			check(!yes || (acl_any_variable(a, names[i], (enum acl_variable_right)right) &&
				       acl_any_variable(a, NULL, (enum acl_variable_right)right)),
			      "a variable may be read, but none");
			bits = bits * 31 + yes;
		}
		bits = bits * 31 + acl_node_pool(a, names[i], ACL_POOL_WRITE);
		bits = bits * 31 + acl_host_volume(a, names[i], ACL_MOUNT_READONLY);
	}
	for (unsigned s = 0; s < N_ACL_SUBJECTS; s++) {
		bits = bits * 31 + acl_may(a, (enum acl_subject)s, ACL_READ);
	}
	return bits;
}

static const struct policy *denial(struct arena *mem)
{
	static const char text[] = "namespace \"default\" { policy = \"deny\" }\nnode { policy = \"deny\" }";
	char why[POLICY_WHY];
	struct policy *p;

	check(policy_parse(text, sizeof(text) - 1, mem, &p, why) == 0, "the denial is refused");
	return p;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena mem = {0};
	char why[POLICY_WHY] = "";
	struct policy *p;
	int rv = policy_parse((const char *)data, size, &mem, &p, why);

	check((rv == 0) == (why[0] == '\0'), "the result and the reason differ");
	if (rv == 0) {
		const struct policy *twice[] = {p, p, denial(&mem)};
		struct acl *one = acl_new(twice, 1);
		struct acl *two = acl_new(twice, 2);
		struct acl *denied = acl_new(twice, 3);

		check(answers(one) == answers(two), "a policy that is given twice means something else");
		check(!acl_in_namespace(denied, "default", ACL_READ_JOB) && !acl_may(denied, ACL_NODE, ACL_READ) &&
			      !acl_variable(denied, "default", "a/b", ACL_VARIABLE_LIST),
		      "a deny is overruled");
		acl_unref(one);
		acl_unref(two);
		acl_unref(denied);
	}
	arena_close(&mem);
	return 0;
}
