package envtest

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"imagecache.dev/api/v1alpha1"
)

// fields are those of a spec, as they are written in YAML.
type fields = map[string]any

// rule is one rule of the API, with an object that it accepts and one that it refuses. Both are told by what they have
// beside the kind's plainest spec; nil removes a field.
type rule struct {
	name string
	// had is, for a rule about changes, what the object has before; accepts and refuses are then patches.
	had     fields
	accepts fields
	refuses fields
	// says is all that the API server answers to what it refuses.
	says string
}

// plainest are the smallest valid specs.
var plainest = map[string]fields{
	"RunnerImageCache": {"runnerID": "demo", "region": "us-east-1"},
	"ProjectImageCache": {
		"runnerRef": fields{"name": "demo"}, "projectID": "shop",
	},
	"DevcontainerImage": {
		"projectRef": fields{"name": "shop"}, "environmentID": "e-1", "trigger": "EnvironmentCreated",
		"configurationType": "Image", "configHash": someHash,
	},
}

const (
	someRole = "arn:aws:iam::123456789012:role/path/name"
	someKey  = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
)

var (
	someHash   = strings.Repeat("0a", 32)
	someDigest = "sha256:" + someHash
)

// letters are n letters that take one byte each; umlauts take two.
func letters(n int) string { return strings.Repeat("a", n) }
func umlauts(n int) string { return strings.Repeat("ä", n) }

// many are n different values.
func many(n int, value func(i int) any) []any {
	list := make([]any, n)
	for i := range list {
		list[i] = value(i)
	}
	return list
}

func tags(tags ...fields) fields {
	list := make([]any, len(tags))
	for i, tag := range tags {
		list[i] = tag
	}
	return fields{"tags": list}
}

// service is a request for a service of Docker Compose.
func service(name string) fields {
	return fields{"configurationType": "Compose", "service": name}
}

// rules are those of a kind's spec.
var rules = map[string][]rule{
	"RunnerImageCache": {
		{name: "runnerID is there", refuses: fields{"runnerID": nil},
			says: `spec.runnerID: Required value`},
		{name: "runnerID has something in it", accepts: fields{"runnerID": "a"}, refuses: fields{"runnerID": ""},
			says: "spec.runnerID: Invalid value: \"\": must be lowercase letters and digits, separated by single dots, underscores or hyphens, because it becomes part of an ECR repository's name\nspec.runnerID: Invalid value: \"\": spec.runnerID in body should be at least 1 chars long"},
		{name: "runnerID is lowercase", accepts: fields{"runnerID": "a.b_c-1"}, refuses: fields{"runnerID": "Demo"},
			says: `spec.runnerID: Invalid value: "Demo": must be lowercase letters and digits, separated by single dots, underscores or hyphens, because it becomes part of an ECR repository's name`},
		{name: "runnerID has no slash at its end", refuses: fields{"runnerID": "demo/"},
			says: `spec.runnerID: Invalid value: "demo/": must be lowercase letters and digits, separated by single dots, underscores or hyphens, because it becomes part of an ECR repository's name`},
		{name: "runnerID has no slash at its beginning", refuses: fields{"runnerID": "/demo"},
			says: `spec.runnerID: Invalid value: "/demo": must be lowercase letters and digits, separated by single dots, underscores or hyphens, because it becomes part of an ECR repository's name`},
		{name: "runnerID has single separators", accepts: fields{"runnerID": "a-b"}, refuses: fields{"runnerID": "a--b"},
			says: `spec.runnerID: Invalid value: "a--b": must be lowercase letters and digits, separated by single dots, underscores or hyphens, because it becomes part of an ECR repository's name`},
		{name: "runnerID fits ECR", accepts: fields{"runnerID": letters(110)}, refuses: fields{"runnerID": letters(111)},
			says: `spec.runnerID: Too long: may not be more than 110 bytes`},
		{name: "provider is a known one", accepts: fields{"provider": "GCP"}, refuses: fields{"provider": "Fly"},
			says: `spec.provider: Unsupported value: "Fly": supported values: "AWSEC2", "AWSECS", "GCP", "Azure", "Linux"`},
		{name: "region is there", refuses: fields{"region": nil},
			says: `spec.region: Required value`},
		{name: "region has something in it", accepts: fields{"region": "us-gov-west-1"}, refuses: fields{"region": ""},
			says: "spec.region: Invalid value: \"\": must be the name of an AWS region, such as eu-central-1\nspec.region: Invalid value: \"\": spec.region in body should be at least 1 chars long"},
		{name: "region is one of AWS", accepts: fields{"region": "eusc-de-east-1"}, refuses: fields{"region": "Frankfurt"},
			says: `spec.region: Invalid value: "Frankfurt": must be the name of an AWS region, such as eu-central-1`},
		{name: "region is short", accepts: fields{"region": "ap-southeast-7"}, refuses: fields{"region": "us-" + letters(30) + "-1"},
			says: `spec.region: Too long: may not be more than 32 bytes`},
		{name: "accountID is long enough", accepts: fields{"accountID": "012345678901"}, refuses: fields{"accountID": "12345678901"},
			says: "spec.accountID: Invalid value: \"12345678901\": must be the 12 digits of an AWS account\nspec.accountID: Invalid value: \"12345678901\": spec.accountID in body should be at least 12 chars long"},
		{name: "accountID is not too long", refuses: fields{"accountID": "1234567890123"},
			says: `spec.accountID: Too long: may not be more than 12 bytes`},
		{name: "accountID is digits", refuses: fields{"accountID": "12345678901a"},
			says: `spec.accountID: Invalid value: "12345678901a": must be the 12 digits of an AWS account`},
		{name: "stackName has something in it", refuses: fields{"stackName": ""},
			says: "spec.stackName: Invalid value: \"\": must be the name of a CloudFormation stack: letters, digits and hyphens, beginning with a letter\nspec.stackName: Invalid value: \"\": spec.stackName in body should be at least 1 chars long"},
		{name: "stackName is one of CloudFormation", accepts: fields{"stackName": "Gitpod-1"}, refuses: fields{"stackName": "1-gitpod"},
			says: `spec.stackName: Invalid value: "1-gitpod": must be the name of a CloudFormation stack: letters, digits and hyphens, beginning with a letter`},
		{name: "stackName fits CloudFormation", accepts: fields{"stackName": letters(128)}, refuses: fields{"stackName": letters(129)},
			says: `spec.stackName: Too long: may not be more than 128 bytes`},
		{name: "tier is a known one", accepts: fields{"tier": "Core"}, refuses: fields{"tier": "Gold"},
			says: `spec.tier: Unsupported value: "Gold": supported values: "Free", "Core", "Enterprise"`},
		{name: "cache is a known mode", accepts: fields{"cache": "Enabled"}, refuses: fields{"cache": "Off"},
			says: `spec.cache: Unsupported value: "Off": supported values: "Enabled", "Disabled"`},
		{name: "scanning is a known one", accepts: fields{"scanning": "AmazonInspector"}, refuses: fields{"scanning": "Trivy"},
			says: `spec.scanning: Unsupported value: "Trivy": supported values: "None", "AmazonInspector"`},
		{name: "Disabled needs a tier", accepts: fields{"cache": "Disabled", "tier": "Core"}, refuses: fields{"cache": "Disabled", "tier": "Free"},
			says: `spec.cache: Invalid value: the cache can be Disabled on the tiers Core and Enterprise only; set cache to Enabled, or change the tier`},
		{name: "Disabled does not go with the default tier", accepts: fields{"cache": "Disabled", "tier": "Enterprise"}, refuses: fields{"cache": "Disabled"},
			says: `spec.cache: Invalid value: the cache can be Disabled on the tiers Core and Enterprise only; set cache to Enabled, or change the tier`},
		{name: "assumeRoleARN is a role", accepts: fields{"assumeRoleARN": someRole}, refuses: fields{"assumeRoleARN": "arn:aws:iam::123456789012:user/name"},
			says: `spec.assumeRoleARN: Invalid value: "arn:aws:iam::123456789012:user/name": must be the ARN of one IAM role, such as arn:aws:iam::123456789012:role/name, without wildcards or variables`},
		{name: "assumeRoleARN is one role", refuses: fields{"assumeRoleARN": "arn:aws:iam::123456789012:role/*"},
			says: `spec.assumeRoleARN: Invalid value: "arn:aws:iam::123456789012:role/*": must be the ARN of one IAM role, such as arn:aws:iam::123456789012:role/name, without wildcards or variables`},
		{name: "assumeRoleARN is long enough", refuses: fields{"assumeRoleARN": "arn:aws:iam::1"},
			says: "spec.assumeRoleARN: Invalid value: \"arn:aws:iam::1\": must be the ARN of one IAM role, such as arn:aws:iam::123456789012:role/name, without wildcards or variables\nspec.assumeRoleARN: Invalid value: \"arn:aws:iam::1\": spec.assumeRoleARN in body should be at least 20 chars long"},
		{name: "assumeRoleARN is not too long", refuses: fields{"assumeRoleARN": someRole + letters(2048)},
			says: `spec.assumeRoleARN: Too long: may not be more than 2048 bytes`},
		{name: "externalID goes with assumeRoleARN", accepts: fields{"externalID": "id", "assumeRoleARN": someRole}, refuses: fields{"externalID": "id"},
			says: `spec.externalID: Invalid value: externalID is for assumeRoleARN; set both, or remove externalID`},
		{name: "externalID is long enough", refuses: fields{"externalID": "i", "assumeRoleARN": someRole},
			says: `spec.externalID: Invalid value: "i": spec.externalID in body should be at least 2 chars long`},
		{name: "externalID is not too long", accepts: fields{"externalID": letters(1224), "assumeRoleARN": someRole}, refuses: fields{"externalID": letters(1225), "assumeRoleARN": someRole},
			says: `spec.externalID: Too long: may not be more than 1224 bytes`},
		{name: "externalID has the characters of AWS", accepts: fields{"externalID": "a:b/c=d", "assumeRoleARN": someRole}, refuses: fields{"externalID": "a b", "assumeRoleARN": someRole},
			says: `spec.externalID: Invalid value: "a b": must be letters, digits and the characters _ + = , . @ : / -, as AWS takes them in an external ID`},
		{name: "roles.type is a known one", accepts: fields{"roles": fields{"type": "Managed"}}, refuses: fields{"roles": fields{"type": "Mine"}},
			says: `spec.roles.type: Unsupported value: "Mine": supported values: "Managed", "Provided"`},
		{
			name:    "Provided roles have ARNs",
			accepts: fields{"roles": fields{"type": "Provided", "pullRoleARN": someRole, "pushRoleARN": someRole}},
			refuses: fields{"roles": fields{"type": "Provided"}},
			says:    `spec.roles: Invalid value: roles of type Provided need both pullRoleARN and pushRoleARN; set both, or use type Managed`,
		},
		{name: "Provided roles have both ARNs", refuses: fields{"roles": fields{"type": "Provided", "pullRoleARN": someRole}},
			says: `spec.roles: Invalid value: roles of type Provided need both pullRoleARN and pushRoleARN; set both, or use type Managed`},
		{name: "Managed roles have no ARNs", refuses: fields{"roles": fields{"pushRoleARN": someRole}},
			says: `spec.roles: Invalid value: roles of type Managed are made by the controller; remove pullRoleARN and pushRoleARN, or use type Provided`},
		{
			name:    "a boundary is for Managed roles",
			accepts: fields{"roles": fields{"permissionsBoundaryARN": "arn:aws:iam::aws:policy/PowerUserAccess"}},
			refuses: fields{"roles": fields{"type": "Provided", "pullRoleARN": someRole, "pushRoleARN": someRole, "permissionsBoundaryARN": "arn:aws:iam::aws:policy/PowerUserAccess"}},
			says:    `spec.roles: Invalid value: permissionsBoundaryARN belongs to roles that the controller makes; remove it, or use type Managed`,
		},
		{name: "a boundary is a policy", refuses: fields{"roles": fields{"permissionsBoundaryARN": someRole}},
			says: `spec.roles.permissionsBoundaryARN: Invalid value: "arn:aws:iam::123456789012:role/path/name": must be the ARN of one IAM policy, such as arn:aws:iam::123456789012:policy/name`},
		{name: "a boundary is long enough", refuses: fields{"roles": fields{"permissionsBoundaryARN": "policy"}},
			says: "spec.roles.permissionsBoundaryARN: Invalid value: \"policy\": must be the ARN of one IAM policy, such as arn:aws:iam::123456789012:policy/name\nspec.roles.permissionsBoundaryARN: Invalid value: \"policy\": spec.roles.permissionsBoundaryARN in body should be at least 20 chars long"},
		{name: "a boundary is not too long", refuses: fields{"roles": fields{"permissionsBoundaryARN": letters(2049)}},
			says: `spec.roles.permissionsBoundaryARN: Too long: may not be more than 2048 bytes`},
		{name: "pullRoleARN is a role", refuses: fields{"roles": fields{"type": "Provided", "pullRoleARN": "image-cache-pull-role", "pushRoleARN": someRole}},
			says: `spec.roles.pullRoleARN: Invalid value: "image-cache-pull-role": must be the ARN of one IAM role, such as arn:aws:iam::123456789012:role/name, without wildcards or variables`},
		{name: "pullRoleARN is long enough", refuses: fields{"roles": fields{"type": "Provided", "pullRoleARN": "", "pushRoleARN": someRole}},
			says: "spec.roles.pullRoleARN: Invalid value: \"\": must be the ARN of one IAM role, such as arn:aws:iam::123456789012:role/name, without wildcards or variables\nspec.roles.pullRoleARN: Invalid value: \"\": spec.roles.pullRoleARN in body should be at least 20 chars long"},
		{name: "pullRoleARN is not too long", refuses: fields{"roles": fields{"type": "Provided", "pullRoleARN": letters(2049), "pushRoleARN": someRole}},
			says: `spec.roles.pullRoleARN: Too long: may not be more than 2048 bytes`},
		{name: "pushRoleARN is a role", refuses: fields{"roles": fields{"type": "Provided", "pullRoleARN": someRole, "pushRoleARN": "arn:aws:iam::123456789012:role/${aws:username}"}},
			says: `spec.roles.pushRoleARN: Invalid value: "arn:aws:iam::123456789012:role/${aws:username}": must be the ARN of one IAM role, such as arn:aws:iam::123456789012:role/name, without wildcards or variables`},
		{name: "pushRoleARN is long enough", refuses: fields{"roles": fields{"type": "Provided", "pullRoleARN": someRole, "pushRoleARN": ""}},
			says: "spec.roles.pushRoleARN: Invalid value: \"\": must be the ARN of one IAM role, such as arn:aws:iam::123456789012:role/name, without wildcards or variables\nspec.roles.pushRoleARN: Invalid value: \"\": spec.roles.pushRoleARN in body should be at least 20 chars long"},
		{name: "pushRoleARN is not too long", refuses: fields{"roles": fields{"type": "Provided", "pullRoleARN": someRole, "pushRoleARN": letters(2049)}},
			says: `spec.roles.pushRoleARN: Too long: may not be more than 2048 bytes`},

		{name: "runnerID stays", had: fields{}, accepts: fields{"stackName": "stack"}, refuses: fields{"runnerID": "other"},
			says: `spec.runnerID: Invalid value: runnerID can't be changed, because it is part of every repository's name; create another RunnerImageCache instead`},
		{name: "runnerID can't be removed", had: fields{}, refuses: fields{"runnerID": nil},
			says: `spec.runnerID: Required value`},
		{name: "region stays", had: fields{}, accepts: fields{"accountID": "123456789012"}, refuses: fields{"region": "us-east-2"},
			says: `spec.region: Invalid value: region can't be changed, because repositories stay where they are; create another RunnerImageCache instead`},
		{name: "a disabled cache keeps its tier", had: fields{"cache": "Disabled", "tier": "Core"}, accepts: fields{"tier": "Enterprise"}, refuses: fields{"tier": "Free"},
			says: `spec.cache: Invalid value: the cache can be Disabled on the tiers Core and Enterprise only; set cache to Enabled, or change the tier`},
		{name: "a disabled cache's tier can't be removed", had: fields{"cache": "Disabled", "tier": "Core"}, accepts: fields{"cache": nil, "tier": nil}, refuses: fields{"tier": nil},
			says: `spec.cache: Invalid value: the cache can be Disabled on the tiers Core and Enterprise only; set cache to Enabled, or change the tier`},
	},
	"ProjectImageCache": {
		{name: "runnerRef is there", refuses: fields{"runnerRef": nil},
			says: `spec.runnerRef: Required value`},
		{name: "runnerRef has a name", refuses: fields{"runnerRef": fields{"name": nil}},
			says: `spec.runnerRef.name: Required value`},
		{name: "runnerRef's name has something in it", refuses: fields{"runnerRef": fields{"name": ""}},
			says: `spec.runnerRef.name: Invalid value: "": spec.runnerRef.name in body should be at least 1 chars long`},
		{name: "runnerRef's name fits Kubernetes", accepts: fields{"runnerRef": fields{"name": letters(253)}}, refuses: fields{"runnerRef": fields{"name": letters(254)}},
			says: `spec.runnerRef.name: Too long: may not be more than 253 bytes`},
		{name: "projectID is there", refuses: fields{"projectID": nil},
			says: `spec.projectID: Required value`},
		{name: "projectID has something in it", refuses: fields{"projectID": ""},
			says: "spec.projectID: Invalid value: \"\": must be lowercase letters and digits, separated by single dots, underscores or hyphens, because it becomes part of an ECR repository's name\nspec.projectID: Invalid value: \"\": spec.projectID in body should be at least 1 chars long"},
		{name: "projectID is lowercase", accepts: fields{"projectID": "a.b_c-1"}, refuses: fields{"projectID": "Shop"},
			says: `spec.projectID: Invalid value: "Shop": must be lowercase letters and digits, separated by single dots, underscores or hyphens, because it becomes part of an ECR repository's name`},
		{name: "projectID has no slash at its end", refuses: fields{"projectID": "shop/"},
			says: `spec.projectID: Invalid value: "shop/": must be lowercase letters and digits, separated by single dots, underscores or hyphens, because it becomes part of an ECR repository's name`},
		{name: "projectID has no slash at its beginning", refuses: fields{"projectID": "/shop"},
			says: `spec.projectID: Invalid value: "/shop": must be lowercase letters and digits, separated by single dots, underscores or hyphens, because it becomes part of an ECR repository's name`},
		{name: "projectID has no separator at its end", refuses: fields{"projectID": "shop-"},
			says: `spec.projectID: Invalid value: "shop-": must be lowercase letters and digits, separated by single dots, underscores or hyphens, because it becomes part of an ECR repository's name`},
		{name: "projectID fits ECR", accepts: fields{"projectID": letters(110)}, refuses: fields{"projectID": letters(111)},
			says: `spec.projectID: Too long: may not be more than 110 bytes`},
		{name: "retentionDays is a day or more", accepts: fields{"retentionDays": int64(1)}, refuses: fields{"retentionDays": int64(0)},
			says: `spec.retentionDays: Invalid value: 0: spec.retentionDays in body should be greater than or equal to 1`},
		{name: "retentionDays is a year or less", accepts: fields{"retentionDays": int64(365)}, refuses: fields{"retentionDays": int64(366)},
			says: `spec.retentionDays: Invalid value: 366: spec.retentionDays in body should be less than or equal to 365`},
		{name: "keyInputs are known ones", accepts: fields{"keyInputs": []any{"LocalEnv"}}, refuses: fields{"keyInputs": []any{"Weather"}},
			says: `spec.keyInputs[0]: Unsupported value: "Weather": supported values: "BuildContext", "BaseImages", "Features", "LocalEnv"`},
		{name: "keyInputs are there once", accepts: fields{"keyInputs": []any{"Features", "BaseImages"}}, refuses: fields{"keyInputs": []any{"Features", "Features"}},
			says: `spec.keyInputs[1]: Duplicate value: "Features"`},
		{name: "keyInputs are some", refuses: fields{"keyInputs": []any{}},
			says: `spec.keyInputs: Invalid value: 0: spec.keyInputs in body should have at least 1 items`},
		{
			name:    "keyInputs are not too many",
			accepts: fields{"keyInputs": []any{"BuildContext", "BaseImages", "Features", "LocalEnv"}},
			refuses: fields{"keyInputs": []any{"BuildContext", "BaseImages", "Features", "LocalEnv", "LocalEnv"}},
			says:    "spec.keyInputs: Too many: 5: must have at most 4 items\nspec.keyInputs[4]: Duplicate value: \"LocalEnv\"",
		},
		{name: "keyCoverage is a known one", accepts: fields{"keyCoverage": "RequireComplete"}, refuses: fields{"keyCoverage": "Some"},
			says: `spec.keyCoverage: Unsupported value: "Some": supported values: "Warn", "RequireComplete"`},
		{name: "layerReuse is a known one", accepts: fields{"layerReuse": "Any"}, refuses: fields{"layerReuse": "All"},
			says: `spec.layerReuse: Unsupported value: "All": supported values: "Prebuilds", "Off", "Any"`},
		{name: "compression is a known one", accepts: fields{"compression": "Gzip"}, refuses: fields{"compression": "gzip"},
			says: `spec.compression: Unsupported value: "gzip": supported values: "Zstd", "Gzip"`},
		{name: "readers are roles or users", accepts: fields{"readers": []any{someRole, "arn:aws:iam::123456789012:user/name"}}, refuses: fields{"readers": []any{"arn:aws:iam::123456789012:root"}},
			says: `spec.readers[0]: Invalid value: "arn:aws:iam::123456789012:root": must be the ARN of one IAM role or user, such as arn:aws:iam::123456789012:role/name, without wildcards or variables`},
		{name: "readers are single ones", refuses: fields{"readers": []any{"arn:aws:iam::123456789012:role/scan*"}},
			says: `spec.readers[0]: Invalid value: "arn:aws:iam::123456789012:role/scan*": must be the ARN of one IAM role or user, such as arn:aws:iam::123456789012:role/name, without wildcards or variables`},
		{name: "readers are long enough", refuses: fields{"readers": []any{"everybody"}},
			says: "spec.readers[0]: Invalid value: \"everybody\": must be the ARN of one IAM role or user, such as arn:aws:iam::123456789012:role/name, without wildcards or variables\nspec.readers[0]: Invalid value: \"everybody\": spec.readers[0] in body should be at least 20 chars long"},
		{name: "readers are not too long", refuses: fields{"readers": []any{someRole + letters(256)}},
			says: `spec.readers[0]: Too long: may not be more than 256 bytes`},
		{name: "readers are there once", refuses: fields{"readers": []any{someRole, someRole}},
			says: `spec.readers[1]: Duplicate value: "arn:aws:iam::123456789012:role/path/name"`},
		{name: "readers are some", refuses: fields{"readers": []any{}},
			says: `spec.readers: Invalid value: 0: spec.readers in body should have at least 1 items`},
		{
			name:    "readers are not too many",
			accepts: fields{"readers": many(20, func(i int) any { return fmt.Sprint(someRole, i) })},
			refuses: fields{"readers": many(21, func(i int) any { return fmt.Sprint(someRole, i) })},
			says:    `spec.readers: Too many: 21: must have at most 20 items`,
		},
		{name: "adoptionPolicy is a known one", accepts: fields{"adoptionPolicy": "IfUntagged"}, refuses: fields{"adoptionPolicy": "Sometimes"},
			says: `spec.adoptionPolicy: Unsupported value: "Sometimes": supported values: "Never", "IfUntagged", "Always"`},
		{name: "compose is a known policy", accepts: fields{"compose": "Cached"}, refuses: fields{"compose": "Hashed"},
			says: `spec.compose: Unsupported value: "Hashed": supported values: "Bypassed", "Cached"`},
		{name: "provenance is a known policy", accepts: fields{"provenance": "Attach"}, refuses: fields{"provenance": "Publish"},
			says: `spec.provenance: Unsupported value: "Publish": supported values: "None", "Attach"`},
		{name: "encryption is of a known type", accepts: fields{"encryption": fields{"type": "AES256"}}, refuses: fields{"encryption": fields{"type": "ROT13"}},
			says: `spec.encryption.type: Unsupported value: "ROT13": supported values: "AES256", "KMS"`},
		{name: "KMS has a key", accepts: fields{"encryption": fields{"type": "KMS", "kmsKeyARN": someKey}}, refuses: fields{"encryption": fields{"type": "KMS"}},
			says: `spec.encryption: Invalid value: encryption of type KMS needs kmsKeyARN, the ARN of the key`},
		{name: "a key is for KMS", refuses: fields{"encryption": fields{"kmsKeyARN": someKey}},
			says: `spec.encryption: Invalid value: kmsKeyARN is for encryption of type KMS; remove it, or set type to KMS`},
		{name: "a key is a key's ARN", refuses: fields{"encryption": fields{"type": "KMS", "kmsKeyARN": "arn:aws:kms:us-east-1:123456789012:alias/name"}},
			says: `spec.encryption.kmsKeyARN: Invalid value: "arn:aws:kms:us-east-1:123456789012:alias/name": must be the ARN of a KMS key, such as arn:aws:kms:eu-central-1:123456789012:key/id`},
		{name: "a key is long enough", refuses: fields{"encryption": fields{"type": "KMS", "kmsKeyARN": "alias/name"}},
			says: "spec.encryption.kmsKeyARN: Invalid value: \"alias/name\": must be the ARN of a KMS key, such as arn:aws:kms:eu-central-1:123456789012:key/id\nspec.encryption.kmsKeyARN: Invalid value: \"alias/name\": spec.encryption.kmsKeyARN in body should be at least 20 chars long"},
		{name: "a key is not too long", refuses: fields{"encryption": fields{"type": "KMS", "kmsKeyARN": letters(2049)}},
			says: `spec.encryption.kmsKeyARN: Too long: may not be more than 2048 bytes`},
		{name: "tags have keys", accepts: tags(fields{"key": "a"}), refuses: tags(fields{"value": "a"}),
			says: `spec.tags[0].key: Required value`},
		{name: "tags have keys with something in them", refuses: tags(fields{"key": ""}),
			says: `spec.tags[0].key: Invalid value: "": spec.tags[0].key in body should be at least 1 chars long`},
		{name: "tags are there once", accepts: tags(fields{"key": "a", "value": "1"}, fields{"key": "b", "value": "1"}), refuses: tags(fields{"key": "a", "value": "1"}, fields{"key": "a", "value": "2"}),
			says: `spec.tags[1]: Duplicate value: {"key":"a"}`},
		{name: "tags are not those of AWS", accepts: tags(fields{"key": "awesome"}), refuses: tags(fields{"key": "aws:team"}),
			says: `spec.tags[0].key: Invalid value: "aws:team": tag keys that begin with aws: are reserved by AWS; choose another key`},
		{name: "tags are not those of AWS in capitals", refuses: tags(fields{"key": "AWS:team"}),
			says: `spec.tags[0].key: Invalid value: "AWS:team": tag keys that begin with aws: are reserved by AWS; choose another key`},
		{name: "tags are not the controller's", accepts: tags(fields{"key": "imagecache"}), refuses: tags(fields{"key": "imagecache.dev/owner"}),
			says: `spec.tags[0].key: Invalid value: "imagecache.dev/owner": tag keys that begin with imagecache.dev/, and imagecache-project, are set by the controller; choose another key`},
		{name: "tags are not the one of the sessions", refuses: tags(fields{"key": "imagecache-project"}),
			says: `spec.tags[0].key: Invalid value: "imagecache-project": tag keys that begin with imagecache.dev/, and imagecache-project, are set by the controller; choose another key`},
		{name: "tag keys fit AWS", accepts: tags(fields{"key": umlauts(128)}), refuses: tags(fields{"key": letters(129)}),
			says: `spec.tags[0].key: Too long: may not be more than 128 bytes`},
		{name: "tag keys have the characters of AWS", accepts: tags(fields{"key": "Größe in m/s: a=b+c-d@e_f."}), refuses: tags(fields{"key": "a,b"}),
			says: `spec.tags[0].key: Invalid value: "a,b": must be letters, digits, spaces and the characters _ . : / = + - @, as AWS takes them in tags`},
		{name: "tag values fit AWS", accepts: tags(fields{"key": "a", "value": letters(256)}), refuses: tags(fields{"key": "a", "value": letters(257)}),
			says: `spec.tags[0].value: Too long: may not be more than 256 bytes`},
		{name: "tag values have the characters of AWS", accepts: tags(fields{"key": "a", "value": ""}), refuses: tags(fields{"key": "a", "value": "50%"}),
			says: `spec.tags[0].value: Invalid value: "50%": must be letters, digits, spaces and the characters _ . : / = + - @, as AWS takes them in tags`},
		{name: "tags are some", refuses: tags(),
			says: `spec.tags: Invalid value: 0: spec.tags in body should have at least 1 items`},
		{
			name:    "tags leave room for the controller's",
			accepts: fields{"tags": many(45, func(i int) any { return fields{"key": fmt.Sprint("tag", i)} })},
			refuses: fields{"tags": many(46, func(i int) any { return fields{"key": fmt.Sprint("tag", i)} })},
			says:    `spec.tags: Too many: 46: must have at most 45 items`,
		},
		{name: "deletionPolicy is a known one", accepts: fields{"deletionPolicy": "Retain"}, refuses: fields{"deletionPolicy": "Keep"},
			says: `spec.deletionPolicy: Unsupported value: "Keep": supported values: "Delete", "Retain"`},
		{name: "expireUnusedAfterDays is a day or more", accepts: fields{"expireUnusedAfterDays": int64(1)}, refuses: fields{"expireUnusedAfterDays": int64(0)},
			says: `spec.expireUnusedAfterDays: Invalid value: 0: spec.expireUnusedAfterDays in body should be greater than or equal to 1`},
		{name: "expireUnusedAfterDays is a year or less", accepts: fields{"retentionDays": int64(365), "expireUnusedAfterDays": int64(365)},
			refuses: fields{"retentionDays": int64(365), "expireUnusedAfterDays": int64(366)},
			says: "spec.expireUnusedAfterDays: Invalid value: 366: spec.expireUnusedAfterDays in body should be less than or equal to 365\n" +
				"spec.expireUnusedAfterDays: Invalid value: expireUnusedAfterDays can be at most retentionDays, after which images expire in any case; lower it, or raise retentionDays"},
		{name: "expireUnusedAfterDays is at most the default of retentionDays", accepts: fields{"expireUnusedAfterDays": int64(30)}, refuses: fields{"expireUnusedAfterDays": int64(31)},
			says: `spec.expireUnusedAfterDays: Invalid value: expireUnusedAfterDays can be at most retentionDays, after which images expire in any case; lower it, or raise retentionDays`},
		{name: "expireUnusedAfterDays is at most retentionDays", accepts: fields{"retentionDays": int64(7), "expireUnusedAfterDays": int64(7)},
			refuses: fields{"retentionDays": int64(7), "expireUnusedAfterDays": int64(8)},
			says:    `spec.expireUnusedAfterDays: Invalid value: expireUnusedAfterDays can be at most retentionDays, after which images expire in any case; lower it, or raise retentionDays`},
		{name: "invalidatePushedBefore is a time", accepts: fields{"invalidatePushedBefore": "2026-01-31T12:00:00Z"}, refuses: fields{"invalidatePushedBefore": "yesterday"},
			says: `spec.invalidatePushedBefore: Invalid value: "yesterday": spec.invalidatePushedBefore in body must be of type date-time: "yesterday"`},

		{name: "runnerRef stays", had: fields{}, accepts: fields{"retentionDays": int64(7)}, refuses: fields{"runnerRef": fields{"name": "other"}},
			says: `spec.runnerRef: Invalid value: runnerRef can't be changed, because it is part of the repository's name; create another ProjectImageCache instead`},
		{name: "runnerRef can't be removed", had: fields{}, refuses: fields{"runnerRef": nil},
			says: `spec.runnerRef: Required value`},
		{name: "projectID stays", had: fields{}, accepts: fields{"deletionPolicy": "Retain"}, refuses: fields{"projectID": "other"},
			says: `spec.projectID: Invalid value: projectID can't be changed, because it is part of the repository's name; create another ProjectImageCache instead`},
		{name: "encryption stays", had: fields{}, accepts: fields{"encryption": nil}, refuses: fields{"encryption": fields{"type": "KMS", "kmsKeyARN": someKey}},
			says: `spec.encryption: Invalid value: encryption can't be changed, because ECR fixes it when the repository is made; create another ProjectImageCache instead`},
		{name: "encryption's key stays", had: fields{"encryption": fields{"type": "KMS", "kmsKeyARN": someKey}}, accepts: fields{"tags": nil}, refuses: fields{"encryption": fields{"kmsKeyARN": someKey + "0"}},
			says: `spec.encryption: Invalid value: encryption can't be changed, because ECR fixes it when the repository is made; create another ProjectImageCache instead`},
		{name: "encryption can't be removed", had: fields{"encryption": fields{"type": "KMS", "kmsKeyARN": someKey}}, refuses: fields{"encryption": nil},
			says: `spec.encryption: Invalid value: encryption can't be changed, because ECR fixes it when the repository is made; create another ProjectImageCache instead`},
	},
	"DevcontainerImage": {
		{name: "projectRef has a name", accepts: fields{"projectRef": nil}, refuses: fields{"projectRef": fields{"name": nil}},
			says: `spec.projectRef.name: Required value`},
		{name: "projectRef's name has something in it", refuses: fields{"projectRef": fields{"name": ""}},
			says: `spec.projectRef.name: Invalid value: "": spec.projectRef.name in body should be at least 1 chars long`},
		{name: "projectRef's name fits Kubernetes", accepts: fields{"projectRef": fields{"name": letters(253)}}, refuses: fields{"projectRef": fields{"name": letters(254)}},
			says: `spec.projectRef.name: Too long: may not be more than 253 bytes`},
		{name: "environmentID is there", refuses: fields{"environmentID": nil},
			says: `spec.environmentID: Required value`},
		{name: "environmentID has something in it", refuses: fields{"environmentID": ""},
			says: "spec.environmentID: Invalid value: \"\": must be letters, digits, dots, underscores and hyphens, beginning and ending with a letter or digit\nspec.environmentID: Invalid value: \"\": spec.environmentID in body should be at least 1 chars long"},
		{name: "environmentID has plain characters", accepts: fields{"environmentID": "E_1.a-2"}, refuses: fields{"environmentID": "e 1"},
			says: `spec.environmentID: Invalid value: "e 1": must be letters, digits, dots, underscores and hyphens, beginning and ending with a letter or digit`},
		{name: "environmentID ends in a letter or digit", refuses: fields{"environmentID": "e-"},
			says: `spec.environmentID: Invalid value: "e-": must be letters, digits, dots, underscores and hyphens, beginning and ending with a letter or digit`},
		{name: "environmentID fits", accepts: fields{"environmentID": letters(128)}, refuses: fields{"environmentID": letters(129)},
			says: `spec.environmentID: Too long: may not be more than 128 bytes`},
		{name: "trigger is there", refuses: fields{"trigger": nil},
			says: `spec.trigger: Required value`},
		{name: "trigger is a known one", accepts: fields{"trigger": "Rebuild"}, refuses: fields{"trigger": "Whim"},
			says: `spec.trigger: Unsupported value: "Whim": supported values: "EnvironmentCreated", "Rebuild", "Prebuild"`},
		{name: "a prebuild has a project", accepts: fields{"trigger": "Prebuild"}, refuses: fields{"trigger": "Prebuild", "projectRef": nil},
			says: `spec: Invalid value: a prebuild publishes to a project's cache; set projectRef`},
		{name: "platform has its form", accepts: fields{"platform": "linux/arm/v7"}, refuses: fields{"platform": "linux"},
			says: `spec.platform: Invalid value: "linux": must read os/architecture or os/architecture/variant, such as linux/amd64`},
		{name: "platform is lowercase", accepts: fields{"platform": "linux/arm64"}, refuses: fields{"platform": "Linux/amd64"},
			says: `spec.platform: Invalid value: "Linux/amd64": must read os/architecture or os/architecture/variant, such as linux/amd64`},
		{name: "platform is long enough", refuses: fields{"platform": ""},
			says: "spec.platform: Invalid value: \"\": must read os/architecture or os/architecture/variant, such as linux/amd64\nspec.platform: Invalid value: \"\": spec.platform in body should be at least 3 chars long"},
		{name: "platform is not too long", refuses: fields{"platform": "linux/" + letters(59)},
			says: `spec.platform: Too long: may not be more than 64 bytes`},
		{name: "configurationType is there", refuses: fields{"configurationType": nil},
			says: `spec.configurationType: Required value`},
		{name: "configurationType is a known one", accepts: fields{"configurationType": "Dockerfile"}, refuses: fields{"configurationType": "Nix"},
			says: `spec.configurationType: Unsupported value: "Nix": supported values: "Image", "Dockerfile", "Compose"`},
		{name: "configHash is lowercase hex", accepts: fields{"configHash": letters(64)}, refuses: fields{"configHash": strings.ToUpper(someHash)},
			says: `spec.configHash: Invalid value: "0A0A0A0A0A0A0A0A0A0A0A0A0A0A0A0A0A0A0A0A0A0A0A0A0A0A0A0A0A0A0A0A": must be 64 lowercase hex characters, as imagecache hash prints them`},
		{name: "configHash is long enough", refuses: fields{"configHash": someHash[1:]},
			says: `spec.configHash: Invalid value: "a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a": must be 64 lowercase hex characters, as imagecache hash prints them`},
		{name: "configHash has something in it", refuses: fields{"configHash": ""},
			says: "spec.configHash: Invalid value: \"\": must be 64 lowercase hex characters, as imagecache hash prints them\nspec.configHash: Invalid value: \"\": spec.configHash in body should be at least 1 chars long"},
		{name: "configHash is not too long", refuses: fields{"configHash": someHash + "0"},
			says: `spec.configHash: Too long: may not be more than 64 bytes`},
		{
			name:    "configHash or configuration, not both",
			accepts: fields{"configHash": nil, "configuration": fields{"devcontainerJSON": "{}"}},
			refuses: fields{"configuration": fields{"devcontainerJSON": "{}"}},
			says:    `spec: Invalid value: give configHash or configuration, not both: the controller computes the hash of a configuration itself`,
		},
		{name: "configHash or configuration, not neither", accepts: fields{"configHash": nil, "projectRef": nil}, refuses: fields{"configHash": nil},
			says: `spec: Invalid value: give configHash, or configuration with the contents, so that an image can be looked up`},
		{name: "Compose has contents in files", accepts: fields{"configurationType": "Compose", "configHash": nil}, refuses: fields{"configurationType": "Compose", "configHash": nil, "configuration": fields{"devcontainerJSON": "{}"}},
			says: `spec.configuration: Invalid value: configuration can't hold the files of Docker Compose; give configHash and service instead, as imagecache hash prints them`},
		{name: "the hash of Compose is that of a service", accepts: service("web"), refuses: fields{"configurationType": "Compose"},
			says: `spec.configHash: Invalid value: Docker Compose builds an image for each service; name the service of configHash in service`},
		{name: "services are those of Compose", refuses: fields{"service": "web"},
			says: `spec.service: Invalid value: only Docker Compose configurations have services; remove service, or set configurationType to Compose`},
		{name: "a service has a hash", refuses: fields{"configurationType": "Compose", "service": "web", "configHash": nil},
			says: `spec.service: Invalid value: service tells whose hash configHash is; give configHash too, or remove service`},
		{name: "a service has a name with something in it", refuses: service(""),
			says: "spec.service: Invalid value: \"\": must be letters, digits, dots, underscores and hyphens, as the services of Docker Compose are named\nspec.service: Invalid value: \"\": spec.service in body should be at least 1 chars long"},
		{name: "a service has a name that fits", accepts: service(letters(128)), refuses: service(letters(129)),
			says: `spec.service: Too long: may not be more than 128 bytes`},
		{name: "a service has a name of Docker Compose", accepts: service("-._Web1"), refuses: service("web api"),
			says: `spec.service: Invalid value: "web api": must be letters, digits, dots, underscores and hyphens, as the services of Docker Compose are named`},
		{
			name:    "Dockerfile contents have the Dockerfile",
			accepts: fields{"configurationType": "Dockerfile", "configHash": nil, "configuration": fields{"devcontainerJSON": "{}", "dockerfile": "FROM scratch"}},
			refuses: fields{"configurationType": "Dockerfile", "configHash": nil, "configuration": fields{"devcontainerJSON": "{}"}},
			says:    `spec: Invalid value: a configuration of type Dockerfile needs configuration.dockerfile, the Dockerfile's contents`,
		},
		{name: "Image contents have no Dockerfile", refuses: fields{"configHash": nil, "configuration": fields{"devcontainerJSON": "{}", "dockerfile": "FROM scratch"}},
			says: `spec: Invalid value: a configuration of type Image has no Dockerfile; remove configuration.dockerfile, or set configurationType to Dockerfile`},
		{name: "contents have devcontainer.json", refuses: fields{"configHash": nil, "configuration": fields{}},
			says: `spec.configuration.devcontainerJSON: Required value`},
		{name: "devcontainer.json has something in it", refuses: fields{"configHash": nil, "configuration": fields{"devcontainerJSON": ""}},
			says: `spec.configuration.devcontainerJSON: Invalid value: "": spec.configuration.devcontainerJSON in body should be at least 1 chars long`},
		{name: "devcontainer.json has 96 KiB at most", accepts: fields{"configHash": nil, "configuration": fields{"devcontainerJSON": letters(98304)}}, refuses: fields{"configHash": nil, "configuration": fields{"devcontainerJSON": letters(98305)}},
			says: `spec.configuration.devcontainerJSON: Too long: may not be more than 98304 bytes`},
		{name: "devcontainer.json is counted in bytes", accepts: fields{"configHash": nil, "configuration": fields{"devcontainerJSON": umlauts(49152)}}, refuses: fields{"configHash": nil, "configuration": fields{"devcontainerJSON": umlauts(49153)}},
			says: `spec.configuration.devcontainerJSON: Invalid value: devcontainerJSON must be at most 96 KiB of UTF-8; give configHash instead`},
		{
			name:    "a Dockerfile has something in it",
			refuses: fields{"configurationType": "Dockerfile", "configHash": nil, "configuration": fields{"devcontainerJSON": "{}", "dockerfile": ""}},
			says:    `spec.configuration.dockerfile: Invalid value: "": spec.configuration.dockerfile in body should be at least 1 chars long`,
		},
		{
			name:    "a Dockerfile has 96 KiB at most",
			accepts: fields{"configurationType": "Dockerfile", "configHash": nil, "configuration": fields{"devcontainerJSON": "{}", "dockerfile": letters(98304)}},
			refuses: fields{"configurationType": "Dockerfile", "configHash": nil, "configuration": fields{"devcontainerJSON": "{}", "dockerfile": letters(98305)}},
			says:    `spec.configuration.dockerfile: Too long: may not be more than 98304 bytes`,
		},
		{
			name:    "a Dockerfile is counted in bytes",
			accepts: fields{"configurationType": "Dockerfile", "configHash": nil, "configuration": fields{"devcontainerJSON": "{}", "dockerfile": umlauts(49152)}},
			refuses: fields{"configurationType": "Dockerfile", "configHash": nil, "configuration": fields{"devcontainerJSON": "{}", "dockerfile": umlauts(49153)}},
			says:    `spec.configuration.dockerfile: Invalid value: dockerfile must be at most 96 KiB of UTF-8; give configHash instead`,
		},
		{name: "inputs have names", accepts: inputs(fields{"name": "Dockerfile", "digest": someDigest}), refuses: inputs(fields{"digest": someDigest}),
			says: `spec.inputs[0].name: Required value`},
		{name: "inputs have names with something in them", refuses: inputs(fields{"name": "", "digest": someDigest}),
			says: `spec.inputs[0].name: Invalid value: "": spec.inputs[0].name in body should be at least 1 chars long`},
		{name: "inputs have names that fit", accepts: inputs(fields{"name": letters(256), "digest": someDigest}), refuses: inputs(fields{"name": letters(257), "digest": someDigest}),
			says: `spec.inputs[0].name: Too long: may not be more than 256 bytes`},
		{name: "inputs have digests", refuses: inputs(fields{"name": "Dockerfile"}),
			says: `spec.inputs[0].digest: Required value`},
		{name: "inputs have digests of SHA-256", refuses: inputs(fields{"name": "Dockerfile", "digest": "SHA256:" + someHash}),
			says: `spec.inputs[0].digest: Invalid value: "SHA256:0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a": must be sha256: and 64 lowercase hex characters`},
		{name: "inputs have digests that are long enough", refuses: inputs(fields{"name": "Dockerfile", "digest": someDigest[:70]}),
			says: "spec.inputs[0].digest: Invalid value: \"sha256:0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0\": must be sha256: and 64 lowercase hex characters\nspec.inputs[0].digest: Invalid value: \"sha256:0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0\": spec.inputs[0].digest in body should be at least 71 chars long"},
		{name: "inputs have digests that are not too long", refuses: inputs(fields{"name": "Dockerfile", "digest": someDigest + "0"}),
			says: `spec.inputs[0].digest: Too long: may not be more than 71 bytes`},
		{name: "inputs are there once", refuses: inputs(fields{"name": "Dockerfile", "digest": someDigest}, fields{"name": "Dockerfile", "digest": someDigest}),
			says: `spec.inputs[1]: Duplicate value: {"name":"Dockerfile"}`},
		{name: "inputs are some", refuses: inputs(),
			says: `spec.inputs: Invalid value: 0: spec.inputs in body should have at least 1 items`},
		{
			name:    "inputs are not too many",
			accepts: fields{"inputs": many(32, func(i int) any { return fields{"name": fmt.Sprint("i", i), "digest": someDigest} })},
			refuses: fields{"inputs": many(33, func(i int) any { return fields{"name": fmt.Sprint("i", i), "digest": someDigest} })},
			says:    `spec.inputs: Too many: 33: must have at most 32 items`,
		},
		{name: "inputs go with configHash", refuses: fields{"configHash": nil, "configuration": fields{"devcontainerJSON": "{}"}, "inputs": []any{fields{"name": "a", "digest": someDigest}}},
			says: `spec.inputs: Invalid value: inputs explain configHash; give configHash too, or remove inputs`},
		{name: "cachePolicy is a known one", accepts: fields{"cachePolicy": "Refresh"}, refuses: fields{"cachePolicy": "Never"},
			says: `spec.cachePolicy: Unsupported value: "Never": supported values: "UseCached", "Refresh"`},
		{name: "ttlSecondsAfterFinished is not negative", accepts: fields{"ttlSecondsAfterFinished": int64(0)}, refuses: fields{"ttlSecondsAfterFinished": int64(-1)},
			says: `spec.ttlSecondsAfterFinished: Invalid value: -1: spec.ttlSecondsAfterFinished in body should be greater than or equal to 0`},
		{name: "ttlSecondsAfterFinished is 30 days at most", accepts: fields{"ttlSecondsAfterFinished": int64(2592000)}, refuses: fields{"ttlSecondsAfterFinished": int64(2592001)},
			says: `spec.ttlSecondsAfterFinished: Invalid value: 2592001: spec.ttlSecondsAfterFinished in body should be less than or equal to 2592000`},
		{name: "a report has an outcome", refuses: report(fields{"outcome": nil}),
			says: `spec.build.outcome: Required value`},
		{name: "a report has a known outcome", refuses: report(fields{"outcome": "Perhaps"}),
			says: `spec.build.outcome: Unsupported value: "Perhaps": supported values: "Succeeded", "Failed"`},
		{name: "a report of success has an image", accepts: report(fields{}), refuses: report(fields{"manifest": nil, "config": nil}),
			says: `spec.build: Invalid value: a build that Succeeded is reported with manifest and config; add both, or set outcome to Failed`},
		{name: "a report of success has a manifest", refuses: report(fields{"manifest": nil}),
			says: `spec.build: Invalid value: a build that Succeeded is reported with manifest and config; add both, or set outcome to Failed`},
		{name: "a report of success has a config", refuses: report(fields{"config": nil}),
			says: `spec.build: Invalid value: a build that Succeeded is reported with manifest and config; add both, or set outcome to Failed`},
		{name: "a report of failure has no image", accepts: report(fields{"outcome": "Failed", "manifest": nil, "config": nil, "message": "no space left"}), refuses: report(fields{"outcome": "Failed"}),
			says: `spec.build: Invalid value: a build that Failed has no image; remove manifest and config, or set outcome to Succeeded`},
		{name: "a manifest has something in it", refuses: report(fields{"manifest": ""}),
			says: `spec.build.manifest: Invalid value: "": spec.build.manifest in body should be at least 1 chars long`},
		{name: "a manifest has 64 KiB at most", accepts: report(fields{"manifest": letters(65536)}), refuses: report(fields{"manifest": letters(65537)}),
			says: `spec.build.manifest: Too long: may not be more than 65536 bytes`},
		{name: "a manifest is counted in bytes", accepts: report(fields{"manifest": umlauts(32768)}), refuses: report(fields{"manifest": umlauts(32769)}),
			says: `spec.build.manifest: Invalid value: manifest must be at most 64 KiB of UTF-8; report an image with a larger one as Failed`},
		{name: "a config has something in it", refuses: report(fields{"config": ""}),
			says: `spec.build.config: Invalid value: "": spec.build.config in body should be at least 1 chars long`},
		{name: "a config has 128 KiB at most", accepts: report(fields{"config": letters(131072)}), refuses: report(fields{"config": letters(131073)}),
			says: `spec.build.config: Too long: may not be more than 131072 bytes`},
		{name: "a config is counted in bytes", accepts: report(fields{"config": umlauts(65536)}), refuses: report(fields{"config": umlauts(65537)}),
			says: `spec.build.config: Invalid value: config must be at most 128 KiB of UTF-8; report an image with a larger one as Failed`},
		{name: "a report has a duration", refuses: report(fields{"durationSeconds": nil}),
			says: `spec.build.durationSeconds: Required value`},
		{name: "a build's duration is not negative", accepts: report(fields{"durationSeconds": int64(0)}), refuses: report(fields{"durationSeconds": int64(-1)}),
			says: `spec.build.durationSeconds: Invalid value: -1: spec.build.durationSeconds in body should be greater than or equal to 0`},
		{name: "a build's duration is a week at most", accepts: report(fields{"durationSeconds": int64(604800)}), refuses: report(fields{"durationSeconds": int64(604801)}),
			says: `spec.build.durationSeconds: Invalid value: 604801: spec.build.durationSeconds in body should be less than or equal to 604800`},
		{name: "a build's keyCoverage is a known one", accepts: report(fields{"keyCoverage": "EnvironmentValues"}), refuses: report(fields{"keyCoverage": "Half"}),
			says: `spec.build.keyCoverage: Unsupported value: "Half": supported values: "Complete", "Incomplete", "EnvironmentValues"`},
		{name: "a report's message has something in it", refuses: report(fields{"message": ""}),
			says: `spec.build.message: Invalid value: "": spec.build.message in body should be at least 1 chars long`},
		{name: "a report's message fits", accepts: report(fields{"message": umlauts(1024)}), refuses: report(fields{"message": letters(1025)}),
			says: `spec.build.message: Too long: may not be more than 1024 bytes`},
		{name: "a pull has an outcome", refuses: fields{"pull": fields{"durationSeconds": int64(1)}},
			says: `spec.pull.outcome: Required value`},
		{name: "a pull has a known outcome", accepts: fields{"pull": fields{"outcome": "Failed", "durationSeconds": int64(1)}}, refuses: fields{"pull": fields{"outcome": "Perhaps", "durationSeconds": int64(1)}},
			says: `spec.pull.outcome: Unsupported value: "Perhaps": supported values: "Succeeded", "Failed"`},
		{name: "a pull has a duration", refuses: fields{"pull": fields{"outcome": "Succeeded"}},
			says: `spec.pull.durationSeconds: Required value`},
		{name: "a pull's duration is not negative", accepts: fields{"pull": fields{"outcome": "Succeeded", "durationSeconds": int64(0)}}, refuses: fields{"pull": fields{"outcome": "Succeeded", "durationSeconds": int64(-1)}},
			says: `spec.pull.durationSeconds: Invalid value: -1: spec.pull.durationSeconds in body should be greater than or equal to 0`},
		{name: "a pull's duration is a week at most", accepts: fields{"pull": fields{"outcome": "Succeeded", "durationSeconds": int64(604800)}}, refuses: fields{"pull": fields{"outcome": "Succeeded", "durationSeconds": int64(604801)}},
			says: `spec.pull.durationSeconds: Invalid value: 604801: spec.pull.durationSeconds in body should be less than or equal to 604800`},
		{name: "a pull's message has something in it", refuses: fields{"pull": fields{"outcome": "Failed", "durationSeconds": int64(1), "message": ""}},
			says: `spec.pull.message: Invalid value: "": spec.pull.message in body should be at least 1 chars long`},
		{name: "a pull's message fits", accepts: fields{"pull": fields{"outcome": "Failed", "durationSeconds": int64(1), "message": letters(1024)}}, refuses: fields{"pull": fields{"outcome": "Failed", "durationSeconds": int64(1), "message": letters(1025)}},
			says: `spec.pull.message: Too long: may not be more than 1024 bytes`},
		{name: "uploadAttempt is not negative", had: report(fields{}), accepts: fields{"uploadAttempt": int64(1)}, refuses: fields{"uploadAttempt": int64(-1)},
			says: `spec.uploadAttempt: Invalid value: -1: spec.uploadAttempt in body should be greater than or equal to 0`},
		{name: "uploadAttempt is a thousand at most", had: report(fields{}), accepts: fields{"uploadAttempt": int64(1000)}, refuses: fields{"uploadAttempt": int64(1001)},
			says: `spec.uploadAttempt: Invalid value: 1001: spec.uploadAttempt in body should be less than or equal to 1000`},
		{name: "uploadAttempt follows a report", had: fields{}, refuses: fields{"uploadAttempt": int64(1)},
			says: `spec.uploadAttempt: Invalid value: uploadAttempt follows a build that Succeeded; report the build first`},
		{name: "uploadAttempt follows a report of success", had: report(fields{"outcome": "Failed", "manifest": nil, "config": nil}), refuses: fields{"uploadAttempt": int64(1)},
			says: `spec.uploadAttempt: Invalid value: uploadAttempt follows a build that Succeeded; report the build first`},

		{name: "projectRef stays", had: fields{}, refuses: fields{"projectRef": fields{"name": "other"}},
			says: `spec.projectRef: Invalid value: projectRef can't be changed; create another DevcontainerImage instead`},
		{name: "projectRef can't be removed", had: fields{}, refuses: fields{"projectRef": nil},
			says: `spec.projectRef: Invalid value: projectRef can't be changed; create another DevcontainerImage instead`},
		{name: "projectRef can't be added", had: fields{"projectRef": nil}, refuses: fields{"projectRef": fields{"name": "shop"}},
			says: `spec.projectRef: Invalid value: projectRef can't be changed; create another DevcontainerImage instead`},
		{name: "environmentID stays", had: fields{}, refuses: fields{"environmentID": "e-2"},
			says: `spec.environmentID: Invalid value: environmentID can't be changed; create another DevcontainerImage instead`},
		{name: "trigger stays", had: fields{"trigger": "Rebuild"}, refuses: fields{"trigger": "EnvironmentCreated"},
			says: `spec.trigger: Invalid value: trigger can't be changed; create another DevcontainerImage instead`},
		{name: "platform stays", had: fields{}, accepts: fields{"platform": nil}, refuses: fields{"platform": "linux/arm64"},
			says: `spec.platform: Invalid value: platform can't be changed; create another DevcontainerImage instead`},
		{name: "platform can't be removed", had: fields{"platform": "linux/arm64"}, refuses: fields{"platform": nil},
			says: `spec.platform: Invalid value: platform can't be changed; create another DevcontainerImage instead`},
		{name: "configurationType stays", had: fields{}, refuses: fields{"configurationType": "Dockerfile"},
			says: `spec.configurationType: Invalid value: configurationType can't be changed; create another DevcontainerImage instead`},
		{name: "configHash stays", had: fields{}, refuses: fields{"configHash": letters(64)},
			says: `spec.configHash: Invalid value: configHash can't be changed; create another DevcontainerImage instead`},
		{name: "configHash can't be removed", had: fields{"projectRef": nil}, refuses: fields{"configHash": nil},
			says: `spec.configHash: Invalid value: configHash can't be changed; create another DevcontainerImage instead`},
		{name: "configHash can't be added", had: fields{"projectRef": nil, "configHash": nil}, refuses: fields{"configHash": someHash},
			says: `spec.configHash: Invalid value: configHash can't be changed; create another DevcontainerImage instead`},
		{name: "service stays", had: service("web"), accepts: fields{"uploadAttempt": nil}, refuses: service("api"),
			says: `spec.service: Invalid value: service can't be changed; create another DevcontainerImage instead`},
		{name: "service can't be removed", had: service("web"), refuses: fields{"service": nil},
			says: "spec.configHash: Invalid value: Docker Compose builds an image for each service; name the service of configHash in service\nspec.service: Invalid value: service can't be changed; create another DevcontainerImage instead"},
		{name: "configuration stays", had: fields{"configHash": nil, "configuration": fields{"devcontainerJSON": "{}"}}, refuses: fields{"configuration": fields{"devcontainerJSON": "{ }"}},
			says: `spec.configuration: Invalid value: configuration can't be changed; create another DevcontainerImage instead`},
		{name: "configuration can't be removed", had: fields{"projectRef": nil, "configHash": nil, "configuration": fields{"devcontainerJSON": "{}"}}, refuses: fields{"configuration": nil},
			says: `spec.configuration: Invalid value: configuration can't be changed; create another DevcontainerImage instead`},
		{name: "configuration can't be added", had: fields{"projectRef": nil, "configHash": nil}, refuses: fields{"configuration": fields{"devcontainerJSON": "{}"}},
			says: `spec.configuration: Invalid value: configuration can't be changed; create another DevcontainerImage instead`},
		{name: "inputs stay", had: inputs(fields{"name": "Dockerfile", "digest": someDigest}), refuses: inputs(fields{"name": "Containerfile", "digest": someDigest}),
			says: `spec.inputs: Invalid value: inputs can't be changed; create another DevcontainerImage instead`},
		{name: "inputs can't be removed", had: inputs(fields{"name": "Dockerfile", "digest": someDigest}), refuses: fields{"inputs": nil},
			says: `spec.inputs: Invalid value: inputs can't be changed; create another DevcontainerImage instead`},
		{name: "inputs can't be added", had: fields{}, refuses: inputs(fields{"name": "Dockerfile", "digest": someDigest}),
			says: `spec.inputs: Invalid value: inputs can't be changed; create another DevcontainerImage instead`},
		{name: "cachePolicy stays", had: fields{}, accepts: fields{"cachePolicy": nil}, refuses: fields{"cachePolicy": "Refresh"},
			says: `spec.cachePolicy: Invalid value: cachePolicy can't be changed; create another DevcontainerImage instead`},
		{name: "cachePolicy can't be removed", had: fields{"cachePolicy": "Refresh"}, refuses: fields{"cachePolicy": nil},
			says: `spec.cachePolicy: Invalid value: cachePolicy can't be changed; create another DevcontainerImage instead`},
		{name: "ttlSecondsAfterFinished stays", had: fields{}, accepts: fields{"ttlSecondsAfterFinished": nil}, refuses: fields{"ttlSecondsAfterFinished": int64(1)},
			says: `spec.ttlSecondsAfterFinished: Invalid value: ttlSecondsAfterFinished can't be changed; delete the object when you don't need it any more`},
		{name: "build can be added", had: fields{}, accepts: report(fields{}), refuses: report(fields{"manifest": nil}),
			says: `spec.build: Invalid value: a build that Succeeded is reported with manifest and config; add both, or set outcome to Failed`},
		{name: "build stays", had: report(fields{}), accepts: report(fields{}), refuses: fields{"build": fields{"message": "other"}},
			says: `spec.build: Invalid value: build is reported once and can't be changed or removed; create another DevcontainerImage instead`},
		{name: "build can't be removed", had: report(fields{}), refuses: fields{"build": nil},
			says: `spec.build: Invalid value: build is reported once and can't be changed or removed; create another DevcontainerImage instead`},
		{name: "pull can be added", had: fields{}, accepts: fields{"pull": fields{"outcome": "Succeeded", "durationSeconds": int64(1)}}, refuses: fields{"pull": fields{}},
			says: "spec.pull.durationSeconds: Required value\nspec.pull.outcome: Required value"},
		{name: "pull stays", had: fields{"pull": fields{"outcome": "Succeeded", "durationSeconds": int64(1)}}, refuses: fields{"pull": fields{"durationSeconds": int64(2)}},
			says: `spec.pull: Invalid value: pull is reported once and can't be changed or removed`},
		{name: "pull can't be removed", had: fields{"pull": fields{"outcome": "Succeeded", "durationSeconds": int64(1)}}, refuses: fields{"pull": nil},
			says: `spec.pull: Invalid value: pull is reported once and can't be changed or removed`},
		{name: "uploadAttempt grows", had: merged(report(fields{}), fields{"uploadAttempt": int64(2)}), accepts: fields{"uploadAttempt": int64(3)}, refuses: fields{"uploadAttempt": int64(1)},
			says: `spec.uploadAttempt: Invalid value: uploadAttempt only grows; set it to one more than it was`},
		{name: "uploadAttempt can't be removed", had: merged(report(fields{}), fields{"uploadAttempt": int64(2)}), accepts: fields{"uploadAttempt": int64(2)}, refuses: fields{"uploadAttempt": nil},
			says: `spec.uploadAttempt: Invalid value: uploadAttempt only grows; set it to one more than it was`},
	},
}

func inputs(inputs ...fields) fields {
	list := make([]any, len(inputs))
	for i, input := range inputs {
		list[i] = input
	}
	return fields{"inputs": list}
}

// report is spec.build of a build that succeeded, with some fields changed.
func report(changed fields) fields {
	return fields{"build": merged(fields{"outcome": "Succeeded", "manifest": "{}", "config": "{}", "durationSeconds": int64(60)}, changed)}
}

// merged is a JSON merge patch, applied.
func merged(base, patch fields) fields {
	out := maps.Clone(base)
	for key, value := range patch {
		below, isFields := value.(fields)
		above, wasFields := out[key].(fields)
		switch {
		case value == nil:
			delete(out, key)
		case isFields && wasFields:
			out[key] = merged(above, below)
		case isFields:
			out[key] = merged(fields{}, below)
		default:
			out[key] = value
		}
	}
	return out
}

func objectOf(kind, namespace string, spec fields) *unstructured.Unstructured {
	object := &unstructured.Unstructured{Object: fields{"spec": spec}}
	object.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(kind))
	object.SetNamespace(namespace)
	object.SetGenerateName("rule-")
	return object.DeepCopy()
}

func TestValidation(t *testing.T) {
	namespace := ownNamespace(t)
	for _, kind := range slices.Sorted(maps.Keys(rules)) {
		for _, r := range rules[kind] {
			t.Run(kind+"/"+r.name, func(t *testing.T) {
				try := createWith
				if r.had != nil {
					try = changeTo
				}
				if err := try(t, kind, namespace, r.had, r.accepts); err != nil {
					t.Errorf("it refuses what it should accept: %s", says(err))
				}
				err := try(t, kind, namespace, r.had, r.refuses)
				if err == nil {
					t.Fatal("it accepts what it should refuse")
				}
				if got := says(err); got != r.says {
					t.Errorf("it says\n\t%s\nand should say\n\t%s", got, r.says)
				}
			})
		}
	}
}

// TestEveryRuleIsTested holds the table above against the CustomResourceDefinitions: a rule or bound of a spec that no
// refused object has run into fails it.
func TestEveryRuleIsTested(t *testing.T) {
	for kind, plural := range map[string]string{
		"RunnerImageCache": "runnerimagecaches", "ProjectImageCache": "projectimagecaches", "DevcontainerImage": "devcontainerimages",
	} {
		crd := &apiextensionsv1.CustomResourceDefinition{}
		file := decodeFile(t, configPath("crd", "imagecache.dev_"+plural+".yaml"))
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(file[0].Object, crd); err != nil {
			t.Fatal(err)
		}
		var refusals []string
		for _, r := range rules[kind] {
			refusals = append(refusals, strings.Split(r.says, "\n")...)
		}
		spec := crd.Spec.Versions[0].Schema.OpenAPIV3Schema.Properties["spec"]
		for _, want := range expectations("spec", &spec) {
			met := slices.ContainsFunc(refusals, func(refusal string) bool {
				field, message, _ := strings.Cut(refusal, ": ")
				return listIndex.ReplaceAllString(field, "[]") == want.field && strings.Contains(message, want.message) ||
					want.field == "" && strings.HasSuffix(message, want.message)
			})
			if !met {
				t.Errorf("%s: nothing that is refused says %q of %s", kind, want.message, want.field)
			}
		}
	}
}

var listIndex = regexp.MustCompile(`\[[0-9]+\]`)

// expectation is what the API server says, among more, when a rule is broken; of any field if field is empty.
type expectation struct{ field, message string }

// expectations are those of a schema and of all below it.
func expectations(field string, schema *apiextensionsv1.JSONSchemaProps) []expectation {
	var all []expectation
	add := func(is bool, message string) {
		if is {
			all = append(all, expectation{field, message})
		}
	}
	add(len(schema.Enum) > 0, "Unsupported value")
	add(schema.Minimum != nil, "greater than or equal to")
	add(schema.Maximum != nil, "less than or equal to")
	add(schema.MinLength != nil && *schema.MinLength > 0, "chars long")
	add(schema.MaxLength != nil, "Too long")
	add(schema.MinItems != nil, "should have at least")
	add(schema.MaxItems != nil, "Too many")
	add(schema.Format == "date-time", "must be of type date-time")
	add(schema.Pattern != "", "should match")
	for _, rule := range schema.XValidations {
		all = append(all, expectation{"", rule.Message})
	}
	for _, name := range schema.Required {
		all = append(all, expectation{field + "." + name, "Required value"})
	}
	for _, name := range slices.Sorted(maps.Keys(schema.Properties)) {
		below := schema.Properties[name]
		all = append(all, expectations(field+"."+name, &below)...)
	}
	if schema.Items != nil {
		if list := schema.XListType; list != nil && *list != "atomic" {
			all = append(all, expectation{field + "[]", "Duplicate value"})
		}
		all = append(all, expectations(field+"[]", schema.Items.Schema)...)
	}
	return all
}

// createWith creates an object of the plainest spec with some fields changed.
func createWith(t *testing.T, kind, namespace string, _, changed fields) error {
	return kube.Create(t.Context(), objectOf(kind, namespace, merged(plainest[kind], changed)))
}

// changeTo creates an object and patches it.
func changeTo(t *testing.T, kind, namespace string, had, changed fields) error {
	t.Helper()
	if changed == nil {
		changed = fields{}
	}
	object := objectOf(kind, namespace, merged(plainest[kind], had))
	if err := kube.Create(t.Context(), object); err != nil {
		t.Fatalf("create the object to change: %s", says(err))
	}
	patch, err := json.Marshal(fields{"spec": changed})
	if err != nil {
		t.Fatal(err)
	}
	return kube.Patch(t.Context(), object, client.RawPatch(types.MergePatchType, patch))
}

func TestNamesFitWhatIsMadeOfThem(t *testing.T) {
	namespace := ownNamespace(t)
	for kind, bound := range map[string]struct {
		longest int
		says    string
	}{
		"ProjectImageCache": {57, "<nil>: Invalid value: the object's name must have at most 57 characters, because it becomes a label and part of a Secret's name"},
		"DevcontainerImage": {248, "<nil>: Invalid value: the object's name must have at most 248 characters, because it becomes part of a Secret's name"},
	} {
		object := objectOf(kind, namespace, plainest[kind])
		object.SetName(letters(bound.longest))
		if err := kube.Create(t.Context(), object); err != nil {
			t.Errorf("%s refuses a name of %d characters: %s", kind, bound.longest, says(err))
		}
		object = objectOf(kind, namespace, plainest[kind])
		object.SetName(letters(bound.longest + 1))
		if err := kube.Create(t.Context(), object); err == nil || says(err) != bound.says {
			t.Errorf("%s with a name of %d characters: %s\nwant %s", kind, bound.longest+1, says(err), bound.says)
		}
	}
}

// TestSpecCannotBeRemoved removes the parent of everything that can't be changed.
func TestSpecCannotBeRemoved(t *testing.T) {
	namespace := ownNamespace(t)
	for kind, spec := range plainest {
		object := objectOf(kind, namespace, spec)
		if err := kube.Create(t.Context(), object); err != nil {
			t.Fatal(err)
		}
		if err := mergePatch(t, kube, object, `{"spec":null}`); err == nil || says(err) != "spec: Required value" {
			t.Errorf("%s: %s", kind, says(err))
		}
	}
}

func TestUnknownFieldsAreRefusedWhereTheyAreAskedFor(t *testing.T) {
	object := objectOf("DevcontainerImage", ownNamespace(t), merged(plainest["DevcontainerImage"], fields{"confgHash": someHash}))
	strict := client.WithFieldValidation(kube, metav1.FieldValidationStrict)
	if err := strict.Create(t.Context(), object); !apierrors.IsBadRequest(err) || !strings.Contains(err.Error(), `unknown field "spec.confgHash"`) {
		t.Errorf("got %v, want a word about the unknown field", err)
	}
}

func TestDefaults(t *testing.T) {
	namespace := ownNamespace(t)
	for kind, want := range map[string]fields{
		"RunnerImageCache": {
			"runnerID": "demo", "region": "us-east-1",
			"provider": "AWSEC2", "tier": "Free", "cache": "Enabled", "roles": fields{"type": "Managed"}, "scanning": "None",
		},
		"ProjectImageCache": {
			"runnerRef": fields{"name": "demo"}, "projectID": "shop",
			"retentionDays": int64(30), "keyCoverage": "Warn", "compression": "Zstd", "layerReuse": "Prebuilds", "adoptionPolicy": "Never", "encryption": fields{"type": "AES256"}, "deletionPolicy": "Delete",
			"provenance": "None", "compose": "Bypassed",
		},
		"DevcontainerImage": {
			"projectRef": fields{"name": "shop"}, "environmentID": "e-1", "trigger": "EnvironmentCreated", "configurationType": "Image", "configHash": someHash,
			"platform": "linux/amd64", "cachePolicy": "UseCached", "ttlSecondsAfterFinished": int64(86400),
		},
	} {
		object := objectOf(kind, namespace, plainest[kind])
		if err := kube.Create(t.Context(), object); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, object.Object["spec"]); diff != "" {
			t.Errorf("%s: spec is not the default (-want +got):\n%s", kind, diff)
		}
		// What reads an object as kstatus does takes one without conditions for ready, unless the generation that was
		// observed is another than the object's.
		if diff := cmp.Diff(fields{"observedGeneration": int64(-1)}, object.Object["status"]); diff != "" {
			t.Errorf("%s: status is not the default (-want +got):\n%s", kind, diff)
		}
	}
}

func TestDefaultOfAnEmptyParent(t *testing.T) {
	runner := &v1alpha1.RunnerImageCache{ObjectMeta: metav1.ObjectMeta{Namespace: ownNamespace(t), Name: "demo"}}
	runner.Spec.RunnerID, runner.Spec.Region = "demo", "us-east-1"
	runner.Spec.Roles.PermissionsBoundaryARN = "arn:aws:iam::123456789012:policy/name"
	if err := kube.Create(t.Context(), runner); err != nil {
		t.Fatal(err)
	}
	if runner.Spec.Roles.Type != v1alpha1.RolesManaged {
		t.Errorf("roles.type is %q, want %q", runner.Spec.Roles.Type, v1alpha1.RolesManaged)
	}
}

func TestCacheResultIsLatched(t *testing.T) {
	request := requestFor(ownNamespace(t), "e-1")
	if err := kube.Create(t.Context(), request); err != nil {
		t.Fatal(err)
	}
	status := func(patch string) error {
		return kube.Status().Patch(t.Context(), request, client.RawPatch(types.MergePatchType, []byte(patch)))
	}
	for _, accepted := range []string{
		`{"status":{"observedGeneration":1}}`,
		`{"status":{"cacheResult":"Miss","reason":"ImageNotFound"}}`,
		`{"status":{"cacheResult":"Miss","role":"Builder"}}`,
	} {
		if err := status(accepted); err != nil {
			t.Errorf("%s: %s", accepted, says(err))
		}
	}
	const want = "status.cacheResult: Invalid value: cacheResult is decided once and can't be changed or removed"
	for _, refused := range []string{
		`{"status":{"cacheResult":"Hit"}}`,
		`{"status":{"cacheResult":null}}`,
		`{"status":null}`,
	} {
		if err := status(refused); err == nil || says(err) != want {
			t.Errorf("%s: %s\nwant %s", refused, says(err), want)
		}
	}
	if err := mergePatch(t, kube, request, `{"spec":{"pull":{"outcome":"Failed","durationSeconds":1}},"status":{"cacheResult":"Hit"}}`); err != nil {
		t.Fatal(err)
	}
	if request.Status.CacheResult != v1alpha1.CacheMiss {
		t.Errorf("a writer of the spec changed the result to %s", request.Status.CacheResult)
	}
}

// TestStatusBounds writes to the status what the controller never does.
func TestStatusBounds(t *testing.T) {
	namespace := ownNamespace(t)
	layers, err := json.Marshal(many(257, func(int) any { return someDigest }))
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct{ kind, patch, says string }{
		"result": {"DevcontainerImage", `{"cacheResult":"Perhaps"}`, `status.cacheResult: Unsupported value: "Perhaps": supported values: "Hit", "Miss", "Bypassed"`},
		"role":   {"DevcontainerImage", `{"role":"Boss"}`, `status.role: Unsupported value: "Boss": supported values: "Builder", "Waiter", "LocalBuild"`},
		"hash":   {"DevcontainerImage", `{"configHash":"ab"}`, `status.configHash: Invalid value: "ab": configHash in body should be at least 64 chars long`},
		"layers": {"DevcontainerImage", `{"missingLayers":` + string(layers) + `}`, `status.missingLayers: Too many: 257: must have at most 256 items`},
		"layer":  {"DevcontainerImage", `{"missingLayers":["sha256:ab"]}`, `status.missingLayers[0]: Invalid value: "sha256:ab": missingLayers[0] in body should be at least 71 chars long`},
		"image":  {"DevcontainerImage", `{"image":{"digest":"` + someDigest + `"}}`, `status.image.reference: Required value`},
		"saved":  {"DevcontainerImage", `{"savedSeconds":-1}`, `status.savedSeconds: Invalid value: -1: savedSeconds in body should be greater than or equal to 0`},
		"expiry": {"ProjectImageCache", `{"pullCredentials":{"secretName":"s"}}`, `status.pullCredentials.expiresAt: Required value`},
		"origin": {"ProjectImageCache", `{"repository":{"name":"r1","origin":"Found"}}`, `status.repository.origin: Unsupported value: "Found": supported values: "Created", "Adopted"`},
		"tags":   {"RunnerImageCache", `{"stackTags":[{"key":"a"},{"key":"a"}]}`, `status.stackTags[1]: Duplicate value: {"key":"a"}`},
	} {
		object := objectOf(test.kind, namespace, plainest[test.kind])
		if err := kube.Create(t.Context(), object); err != nil {
			t.Fatal(err)
		}
		err := kube.Status().Patch(t.Context(), object, client.RawPatch(types.MergePatchType, []byte(`{"status":`+test.patch+`}`)))
		if err == nil || says(err) != test.says {
			t.Errorf("%s: %s\nwant %s", name, says(err), test.says)
		}
	}
}

// TestSelectableFields looks objects up as the controllers' indexes and the runner do.
func TestSelectableFields(t *testing.T) {
	namespace := ownNamespace(t)
	for kind, spec := range plainest {
		if err := kube.Create(t.Context(), objectOf(kind, namespace, spec)); err != nil {
			t.Fatal(err)
		}
	}
	request := requestFor(namespace, "answered")
	if err := kube.Create(t.Context(), request); err != nil {
		t.Fatal(err)
	}
	if err := kube.Status().Patch(t.Context(), request, client.RawPatch(types.MergePatchType, []byte(`{"status":{"configHash":"`+someHash+`"}}`))); err != nil {
		t.Fatal(err)
	}
	for _, look := range []struct {
		list         client.ObjectList
		field, value string
		want         int
	}{
		{&v1alpha1.RunnerImageCacheList{}, "spec.runnerID", "demo", 1},
		{&v1alpha1.RunnerImageCacheList{}, "spec.runnerID", "other", 0},
		{&v1alpha1.ProjectImageCacheList{}, "spec.projectID", "shop", 1},
		{&v1alpha1.ProjectImageCacheList{}, "spec.runnerRef.name", "demo", 1},
		{&v1alpha1.DevcontainerImageList{}, "spec.environmentID", "e-1", 1},
		{&v1alpha1.DevcontainerImageList{}, "spec.projectRef.name", "shop", 2},
		{&v1alpha1.DevcontainerImageList{}, "status.configHash", someHash, 1},
	} {
		if err := kube.List(t.Context(), look.list, client.InNamespace(namespace), client.MatchingFields{look.field: look.value}); err != nil {
			t.Fatal(err)
		}
		if got := meta.LenList(look.list); got != look.want {
			t.Errorf("%T by %s=%s: %d, want %d", look.list, look.field, look.value, got, look.want)
		}
	}
}
