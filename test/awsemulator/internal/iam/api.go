package iam

import (
	"imagecache.dev/test/awsemulator/internal/apierror"
	"imagecache.dev/test/awsemulator/internal/wire"
)

// Namespace is the XML namespace of IAM's answers.
const Namespace = "https://iam.amazonaws.com/doc/2010-05-08/"

// Operations is IAM's API.
func (d *Directory) Operations() map[string]wire.Operation {
	return map[string]wire.Operation{
		"CreateRole":                    wire.Op(d.createRole),
		"GetRole":                       wire.Op(d.getRole),
		"UpdateRole":                    wire.Op(d.updateRole),
		"DeleteRole":                    wire.Op(d.deleteRole),
		"ListRoles":                     wire.Op(d.listRoles),
		"UpdateAssumeRolePolicy":        wire.Op(d.updateAssumeRolePolicy),
		"PutRolePermissionsBoundary":    wire.Op(d.putBoundary),
		"DeleteRolePermissionsBoundary": wire.Op(d.deleteBoundary),
		"TagRole":                       wire.Op(d.tagRole),
		"UntagRole":                     wire.Op(d.untagRole),
		"ListRoleTags":                  wire.Op(d.listRoleTags),
		"PutRolePolicy":                 wire.Op(d.putRolePolicy),
		"GetRolePolicy":                 wire.Op(d.getRolePolicy),
		"DeleteRolePolicy":              wire.Op(d.deleteRolePolicy),
		"ListRolePolicies":              wire.Op(d.listRolePolicies),
		"AttachRolePolicy":              wire.Op(d.attachRolePolicy),
		"DetachRolePolicy":              wire.Op(d.detachRolePolicy),
		"ListAttachedRolePolicies":      wire.Op(d.listAttachedRolePolicies),
		"CreatePolicy":                  wire.Op(d.createPolicy),
		"GetPolicy":                     wire.Op(d.getPolicy),
		"DeletePolicy":                  wire.Op(d.deletePolicy),
		"ListPolicies":                  wire.Op(d.listPolicies),
		"CreatePolicyVersion":           wire.Op(d.createPolicyVersion),
		"GetPolicyVersion":              wire.Op(d.getPolicyVersion),
		"ListPolicyVersions":            wire.Op(d.listPolicyVersions),
		"DeletePolicyVersion":           wire.Op(d.deletePolicyVersion),
		"SetDefaultPolicyVersion":       wire.Op(d.setDefaultPolicyVersion),
		"GetAccountSummary":             wire.Op(d.getAccountSummary),
		"SimulateCustomPolicy":          wire.Op(d.simulateCustomPolicy),
	}
}

// pageSize is IAM's MaxItems, 100 where it is absent.
func pageSize(maxItems int) (int, error) {
	switch {
	case maxItems == 0:
		return 100, nil
	case maxItems < 1 || maxItems > 1000:
		return 0, apierror.New("ValidationError", "1 validation error detected: Value '%d' at 'maxItems' failed to satisfy constraint: Member must have value between 1 and 1000", maxItems)
	}
	return maxItems, nil
}
