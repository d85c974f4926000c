#include "proto/acl.h"

#include <string.h>

OBJECT_DEFINE(acl_job, ACL_JOB_FIELDS);
OBJECT_DEFINE(acl_policy, ACL_POLICY_FIELDS);
OBJECT_DEFINE(acl_policy_stub, ACL_POLICY_STUB_FIELDS);
OBJECT_DEFINE(acl_role_link, ACL_ROLE_LINK_FIELDS);
OBJECT_DEFINE(acl_token, ACL_TOKEN_FIELDS);
OBJECT_DEFINE(acl_token_stub, ACL_TOKEN_STUB_FIELDS);
OBJECT_DEFINE(acl_policy_link, ACL_POLICY_LINK_FIELDS);
OBJECT_DEFINE(acl_role, ACL_ROLE_FIELDS);
OBJECT_DEFINE(one_time_token, ONE_TIME_TOKEN_FIELDS);
OBJECT_DEFINE(acl_bootstrapped, ACL_BOOTSTRAPPED_FIELDS);

#define NAME_FAULT "invalid Name: it must match ^[a-zA-Z0-9-]{1,128}$"
#define DESCRIPTION_FAULT "Description is longer than 256 characters"

bool acl_name_valid(const char *name)
{
	size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-");

	return len > 0 && len <= ACL_NAME_MAX && name[len] == '\0';
}

const char *acl_policy_fault(const struct acl_policy *policy)
{
	if (!acl_name_valid(policy->name)) {
		return NAME_FAULT;
	}
	return strlen(policy->description) > ACL_DESCRIPTION_MAX ? DESCRIPTION_FAULT : NULL;
}

static const char *client_fault(const struct acl_token *token)
{
	if (token->policies.n == 0 && token->roles.n == 0) {
		return "client token missing policies or roles";
	}
	if (token->policies.n > ACL_LINKS_MAX) {
		return "a token has at most 256 Policies";
	}
	if (token->roles.n > ACL_LINKS_MAX) {
		return "a token has at most 256 Roles";
	}
	for (uint32_t i = 0; i < token->policies.n; i++) {
		if (!acl_name_valid(token->policies.at[i])) {
			return "Policies has an invalid name: it must match ^[a-zA-Z0-9-]{1,128}$";
		}
	}
	return NULL;
}

const char *acl_token_fault(const struct acl_token *token)
{
	if (strlen(token->name) > ACL_TOKEN_NAME_MAX) {
		return "token name too long: Name has at most 256 characters";
	}
	if (strcmp(token->type, "client") == 0) {
		return client_fault(token);
	}
	if (strcmp(token->type, "management") != 0) {
		return "Type of a token must be client or management";
	}
	return token->policies.n > 0 || token->roles.n > 0
		       ? "management token cannot be associated with policies or roles"
		       : NULL;
}

const char *acl_role_fault(const struct acl_role *role)
{
	if (!acl_name_valid(role->name)) {
		return NAME_FAULT;
	}
	if (strlen(role->description) > ACL_DESCRIPTION_MAX) {
		return DESCRIPTION_FAULT;
	}
	if (role->policies.n == 0) {
		return "at least one policy should be specified in Policies";
	}
	return role->policies.n > ACL_LINKS_MAX ? "a role has at most 256 Policies" : NULL;
}
