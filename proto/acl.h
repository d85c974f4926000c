/**
 * Objects of access control as the API shows them: policies, tokens, roles, one-time tokens; and how they are kept.
 *
 * What a policy's rules say is proto/policy.h's affair: here they are a text.
 */
#ifndef PROTO_ACL_H_
#define PROTO_ACL_H_

#include "proto/object.h"

enum {
	ACL_NAME_MAX = 128,        /* Bytes of a policy's or a role's name, */
	ACL_TOKEN_NAME_MAX = 256,  /* of a token's, */
	ACL_DESCRIPTION_MAX = 256, /* and of any description. */
	ACL_LINKS_MAX = 256,       /* Policies or roles of one token, policies of one role. */
};

/* The job that a policy is for: what templates of its tasks read is allowed by it, too. */
#define ACL_JOB_FIELDS(X, T)                                                             \
	X(T, STR, namespace_, "Namespace")                                               \
	X(T, STR, job_id, "JobID")                                                       \
	X(T, STR, group, "Group")                                                        \
	X(T, STR, task, "Task")

#define ACL_POLICY_FIELDS(X, T)                                                          \
	X(T, STR, name, "Name")                                                          \
	X(T, STR, description, "Description")                                            \
	X(T, STR, rules, "Rules")                                                        \
	X(T, OBJ(acl_job), job_acl, "JobACL")                                            \
	X(T, BYTES, hash, "Hash", .server = true)                                        \
	X(T, INT, create_index, "CreateIndex", .server = true)                           \
	X(T, INT, modify_index, "ModifyIndex", .server = true)

#define ACL_POLICY_STUB_FIELDS(X, T)                                                     \
	X(T, STR, name, "Name")                                                          \
	X(T, STR, description, "Description")                                            \
	X(T, OBJ(acl_job), job_acl, "JobACL")                                            \
	X(T, BYTES, hash, "Hash")                                                        \
	X(T, INT, create_index, "CreateIndex")                                           \
	X(T, INT, modify_index, "ModifyIndex")

/* What a token says of a role; either is enough in a request. */
#define ACL_ROLE_LINK_FIELDS(X, T)                                                       \
	X(T, STR, id, "ID")                                                              \
	X(T, STR, name, "Name")

#define ACL_TOKEN_FIELDS(X, T)                                                           \
	X(T, STR, accessor_id, "AccessorID")                                             \
	X(T, STR, secret_id, "SecretID", .secret = true)                                 \
	X(T, STR, name, "Name")                                                          \
	X(T, STR, type, "Type")          /* "client", "management" */                    \
	X(T, STRS, policies, "Policies")                                                 \
	X(T, LIST(acl_role_link), roles, "Roles")                                        \
	X(T, BOOL, global, "Global")                                                     \
	X(T, BYTES, hash, "Hash", .server = true)                                        \
	X(T, TIME, create_time, "CreateTime", .server = true)                            \
	X(T, TIME, expiration_time, "ExpirationTime", .omit = true)                      \
	X(T, DUR, expiration_ttl, "ExpirationTTL", .omit = true, .blank = true)          \
	X(T, INT, create_index, "CreateIndex", .server = true)                           \
	X(T, INT, modify_index, "ModifyIndex", .server = true)

#define ACL_TOKEN_STUB_FIELDS(X, T)                                                      \
	X(T, STR, accessor_id, "AccessorID")                                             \
	X(T, STR, name, "Name")                                                          \
	X(T, STR, type, "Type")                                                          \
	X(T, STRS, policies, "Policies")                                                 \
	X(T, LIST(acl_role_link), roles, "Roles")                                        \
	X(T, BOOL, global, "Global")                                                     \
	X(T, BYTES, hash, "Hash")                                                        \
	X(T, TIME, create_time, "CreateTime")                                            \
	X(T, TIME, expiration_time, "ExpirationTime", .omit = true)                      \
	X(T, INT, create_index, "CreateIndex")                                           \
	X(T, INT, modify_index, "ModifyIndex")

#define ACL_POLICY_LINK_FIELDS(X, T) X(T, STR, name, "Name")

#define ACL_ROLE_FIELDS(X, T)                                                            \
	X(T, STR, id, "ID")                                                              \
	X(T, STR, name, "Name")                                                          \
	X(T, STR, description, "Description")                                            \
	X(T, LIST(acl_policy_link), policies, "Policies")                                \
	X(T, BYTES, hash, "Hash", .server = true)                                        \
	X(T, INT, create_index, "CreateIndex", .server = true)                           \
	X(T, INT, modify_index, "ModifyIndex", .server = true)

#define ONE_TIME_TOKEN_FIELDS(X, T)                                                      \
	X(T, STR, secret_id, "OneTimeSecretID", .secret = true)                          \
	X(T, STR, accessor_id, "AccessorID")                                             \
	X(T, TIME, expires_at, "ExpiresAt")                                              \
	X(T, INT, create_index, "CreateIndex")                                           \
	X(T, INT, modify_index, "ModifyIndex")

/* That the first token has been made, and at which index: who resets it has to name that. */
#define ACL_BOOTSTRAPPED_FIELDS(X, T)                                                    \
	X(T, STR, accessor_id, "AccessorID")                                             \
	X(T, INT, index, "Index")

OBJECT_DECLARE(acl_job, ACL_JOB_FIELDS);
OBJECT_DECLARE(acl_policy, ACL_POLICY_FIELDS);
OBJECT_DECLARE(acl_policy_stub, ACL_POLICY_STUB_FIELDS);
OBJECT_DECLARE(acl_role_link, ACL_ROLE_LINK_FIELDS);
OBJECT_DECLARE(acl_token, ACL_TOKEN_FIELDS);
OBJECT_DECLARE(acl_token_stub, ACL_TOKEN_STUB_FIELDS);
OBJECT_DECLARE(acl_policy_link, ACL_POLICY_LINK_FIELDS);
OBJECT_DECLARE(acl_role, ACL_ROLE_FIELDS);
OBJECT_DECLARE(one_time_token, ONE_TIME_TOKEN_FIELDS);
OBJECT_DECLARE(acl_bootstrapped, ACL_BOOTSTRAPPED_FIELDS);

/* Whether a policy or a role may have this name: letters, digits, dashes, 1 to ACL_NAME_MAX of them. */
bool acl_name_valid(const char *name);

/* What is wrong with what somebody wants to put, apart from what only the state knows; NULL: nothing. The text names
 * the field, and is static. */
const char *acl_policy_fault(const struct acl_policy *policy);
const char *acl_token_fault(const struct acl_token *token);
const char *acl_role_fault(const struct acl_role *role);

#endif /* PROTO_ACL_H_ */
