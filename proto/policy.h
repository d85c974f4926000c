/**
 * What tokens may do: policy documents, and the decisions that follow from them.
 *
 *     text (HCL or JSON) --policy_parse()--> rules --acl_new()--> struct acl --acl_in_namespace() ...--> yes or no
 *
 * A document is a list of rules:
 *
 *     namespace "web-*" {                      a rule for all namespaces whose names the label fits
 *       policy       = "read"                  a word that stands for some capabilities, and
 *       capabilities = ["submit-job"]          capabilities by name: they add up
 *       variables { path "project" { capabilities = ["read"] } }
 *     }
 *     node_pool "gpu" { policy = "write" }     likewise by name, as host_volume
 *     node { policy = "read" }                 without names, as agent, operator, quota and plugin
 *
 * A namespace rule without a label is one for "default". Which rule decides about a name: the one whose label is that
 * very name, else of those whose stars fit it the one with the most letters besides stars (the first by bytes, of two
 * with as many). One rule decides, and what it does not allow is not allowed. A struct acl is made of any number of
 * policies: what their rules with the same label allow adds up, and a deny among them takes all of it.
 *
 * About a variable the namespace is decided first, among the rules that have a `variables` block, and then the path
 * among that rule's paths. A namespace that is denied has its variables denied.
 *
 * Documents are bounded: in length, rules and depth. Compiled, they never change; any thread may ask.
 */
#ifndef PROTO_POLICY_H_
#define PROTO_POLICY_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/arena.h"

enum {
	POLICY_BYTES_MAX = 64 << 10, /* Of a document. */
	POLICY_RULES_MAX = 1024,     /* Of a document; paths of variables count, too. */
	POLICY_NAME_MAX = 512,       /* Bytes of a label. */
	POLICY_WHY = 256,
};

/* ---- capabilities ---- */

/* Name, text, and what it brings along. Each stands behind those that it brings. */
#define ACL_CAP_LIST(X)                                                                                                \
	X(DENY, "deny", 0)                                                                                             \
	X(PARSE_JOB, "parse-job", 0)                                                                                   \
	X(CSI_LIST_VOLUME, "csi-list-volume", 0)                                                                       \
	X(CSI_READ_VOLUME, "csi-read-volume", ACL_BIT(CSI_LIST_VOLUME))                                                \
	X(CSI_WRITE_VOLUME, "csi-write-volume", ACL_BIT(CSI_READ_VOLUME) | ACL_BIT(CSI_LIST_VOLUME))                   \
	X(CSI_MOUNT_VOLUME, "csi-mount-volume", ACL_BIT(CSI_READ_VOLUME) | ACL_BIT(CSI_LIST_VOLUME))                   \
	X(CSI_REGISTER_PLUGIN, "csi-register-plugin", 0)                                                               \
	X(HOST_VOLUME_READ, "host-volume-read", 0)                                                                     \
	X(HOST_VOLUME_DELETE, "host-volume-delete", 0)                                                                 \
	X(HOST_VOLUME_CREATE, "host-volume-create", ACL_BIT(HOST_VOLUME_READ))                                         \
	X(HOST_VOLUME_REGISTER, "host-volume-register", ACL_BIT(HOST_VOLUME_READ) | ACL_BIT(HOST_VOLUME_CREATE))       \
	X(HOST_VOLUME_WRITE, "host-volume-write",                                                                      \
	  ACL_BIT(HOST_VOLUME_READ) | ACL_BIT(HOST_VOLUME_CREATE) | ACL_BIT(HOST_VOLUME_REGISTER) |                    \
		  ACL_BIT(HOST_VOLUME_DELETE))                                                                         \
	X(LIST_JOBS, "list-jobs", ACL_BIT(CSI_LIST_VOLUME))                                                            \
	X(READ_JOB, "read-job", ACL_BIT(CSI_READ_VOLUME) | ACL_BIT(CSI_LIST_VOLUME))                                   \
	X(SUBMIT_JOB, "submit-job", 0)                                                                                 \
	X(DISPATCH_JOB, "dispatch-job", 0)                                                                             \
	X(READ_LOGS, "read-logs", 0)                                                                                   \
	X(READ_FS, "read-fs", ACL_BIT(READ_LOGS))                                                                      \
	X(ALLOC_EXEC, "alloc-exec", 0)                                                                                 \
	X(ALLOC_NODE_EXEC, "alloc-node-exec", 0)                                                                       \
	X(ALLOC_LIFECYCLE, "alloc-lifecycle", 0)                                                                       \
	X(LIST_SCALING_POLICIES, "list-scaling-policies", 0)                                                           \
	X(READ_SCALING_POLICY, "read-scaling-policy", 0)                                                               \
	X(READ_JOB_SCALING, "read-job-scaling", 0)                                                                     \
	X(SCALE_JOB, "scale-job", 0)                                                                                   \
	X(SENTINEL_OVERRIDE, "sentinel-override", 0)                                                                   \
	X(SUBMIT_RECOMMENDATION, "submit-recommendation", 0)

/* What may be done in a namespace. */
enum acl_cap {
#define X(id, text, brings) ACL_##id,
	ACL_CAP_LIST(X)
#undef X
	N_ACL_CAPS
};

#define ACL_BIT(id) (UINT64_C(1) << ACL_##id)

const char *acl_cap_text(enum acl_cap cap);

/* What may be done with a variable, a node pool, a host volume. */
enum acl_variable_right { ACL_VARIABLE_LIST, ACL_VARIABLE_READ, ACL_VARIABLE_WRITE, ACL_VARIABLE_DESTROY };
enum acl_pool_right { ACL_POOL_READ, ACL_POOL_WRITE, ACL_POOL_DELETE };
enum acl_mount_right { ACL_MOUNT_READONLY, ACL_MOUNT_READWRITE };

/* What there is one of, and how far one may go with it; each level has those before it. Only plugins know the first. */
enum acl_subject { ACL_AGENT, ACL_NODE, ACL_OPERATOR, ACL_QUOTA, ACL_PLUGIN, N_ACL_SUBJECTS };
enum acl_level { ACL_LIST, ACL_READ, ACL_WRITE };

/* ---- documents ---- */

struct policy;

/* The rules of a document, in `mem`, where nothing points into the text. An empty document has none, and allows nothing.
 * 0, ERR_NOMEM, or ERR_INVALID with `why`: the line and column of native syntax, and the name that is not known. */
int policy_parse(const char *text, size_t len, struct arena *mem, struct policy **out, char why[POLICY_WHY]);

/* A policy without a document, of at most so many rules, in `mem`; NULL when memory is exhausted. What is added is borrowed
 * until acl_new() has returned. Names with a star in them, and rules that there is no room for, are passed over. */
struct policy *policy_new(struct arena *mem, size_t rules_max);
void policy_add_caps(struct policy *p, const char *ns, uint64_t bits);
void policy_add_variable(struct policy *p, const char *ns, const char *path, enum acl_variable_right right);

/* ---- decisions ---- */

struct acl; /* Counted; of any thread. */

/* What these policies allow together, with one reference, the caller's. The policies may go. NULL when memory is
 * exhausted. */
struct acl *acl_new(const struct policy *const *policies, size_t n);
struct acl *acl_ref(struct acl *a);
void acl_unref(struct acl *a); /* NULL is harmless. */

/* What a management token may do: everything. Static: its references are not counted. */
struct acl *acl_management(void);
bool acl_is_management(const struct acl *a);

/* No two that were ever made in this process have the same; 0 is acl_management(). */
uint64_t acl_serial(const struct acl *a);

bool acl_in_namespace(const struct acl *a, const char *ns, enum acl_cap cap);
bool acl_in_namespace_any(const struct acl *a, const char *ns, uint64_t bits); /* One of these, at least. */
bool acl_any_namespace(const struct acl *a, enum acl_cap cap);                 /* In one namespace, at least. */
bool acl_any_namespace_any(const struct acl *a, uint64_t bits);
bool acl_sees_namespace(const struct acl *a, const char *ns); /* Anything in it, its variables included. */

bool acl_variable(const struct acl *a, const char *ns, const char *path, enum acl_variable_right right);
bool acl_any_variable(const struct acl *a, const char *ns, enum acl_variable_right right); /* NULL: in any. */

bool acl_node_pool(const struct acl *a, const char *pool, enum acl_pool_right right);
bool acl_any_node_pool(const struct acl *a, enum acl_pool_right right);
bool acl_host_volume(const struct acl *a, const char *source, enum acl_mount_right right);

bool acl_may(const struct acl *a, enum acl_subject subject, enum acl_level level);

#endif /* PROTO_POLICY_H_ */
