package iam

import "time"

// awsPolicy is one of AWS' own managed policies, in its default version.
type awsPolicy struct {
	version          int
	created, updated string
	statements       string
}

func allowed(actions string) string {
	return `{"Effect":"Allow","Action":[` + actions + `],"Resource":"*"}`
}

const registryRead = `"ecr:GetAuthorizationToken","ecr:BatchCheckLayerAvailability","ecr:GetDownloadUrlForLayer","ecr:GetRepositoryPolicy",` +
	`"ecr:DescribeRepositories","ecr:ListImages","ecr:DescribeImages","ecr:BatchGetImage","ecr:GetLifecyclePolicy",` +
	`"ecr:GetLifecyclePolicyPreview","ecr:ListTagsForResource","ecr:DescribeImageScanFindings"`

// awsPolicies are those that people attach to roles around a registry. Of ReadOnlyAccess they have the actions of the services that are
// emulated; AWS' has those of all others too.
// https://docs.aws.amazon.com/AmazonECR/latest/userguide/security-iam-awsmanpol.html
// https://docs.aws.amazon.com/aws-managed-policy/latest/reference/policy-list.html
var awsPolicies = map[string]awsPolicy{
	"AdministratorAccess": {1, "2015-02-06T18:39:46Z", "2015-02-06T18:39:46Z", allowed(`"*"`)},
	"AmazonEC2ContainerRegistryFullAccess": {3, "2015-12-21T17:06:48Z", "2020-12-05T00:04:19Z", allowed(`"ecr:*","cloudtrail:LookupEvents"`) +
		`,{"Effect":"Allow","Action":["iam:CreateServiceLinkedRole"],"Resource":"*",` +
		`"Condition":{"StringEquals":{"iam:AWSServiceName":["replication.ecr.amazonaws.com"]}}}`},
	"AmazonEC2ContainerRegistryPowerUser": {3, "2015-12-21T17:05:33Z", "2019-12-10T20:48:08Z", allowed(registryRead +
		`,"ecr:InitiateLayerUpload","ecr:UploadLayerPart","ecr:CompleteLayerUpload","ecr:PutImage"`)},
	"AmazonEC2ContainerRegistryReadOnly": {3, "2015-12-21T17:04:15Z", "2019-12-10T20:56:32Z", allowed(registryRead)},
	"AmazonEC2ContainerRegistryPullOnly": {1, "2024-10-04T16:58:49Z", "2024-10-04T16:58:49Z",
		allowed(`"ecr:GetAuthorizationToken","ecr:BatchGetImage","ecr:GetDownloadUrlForLayer","ecr:BatchImportUpstreamImage"`)},
	"AWSCloudFormationFullAccess": {1, "2019-07-26T21:50:35Z", "2019-07-26T21:50:35Z", allowed(`"cloudformation:*"`)},
	"AWSCloudFormationReadOnlyAccess": {7, "2015-02-06T18:39:49Z", "2026-02-12T18:02:00Z", allowed(`"cloudformation:Describe*",` +
		`"cloudformation:BatchDescribe*","cloudformation:EstimateTemplateCost","cloudformation:Get*","cloudformation:List*",` +
		`"cloudformation:ValidateTemplate","cloudformation:Detect*"`)},
	"IAMFullAccess": {2, "2015-02-06T18:40:38Z", "2019-06-21T19:40:00Z", allowed(`"iam:*","organizations:DescribeAccount",` +
		`"organizations:DescribeOrganization","organizations:DescribeOrganizationalUnit","organizations:DescribePolicy",` +
		`"organizations:ListChildren","organizations:ListParents","organizations:ListPoliciesForTarget","organizations:ListRoots",` +
		`"organizations:ListPolicies","organizations:ListTargetsForPolicy"`)},
	"IAMReadOnlyAccess": {4, "2015-02-06T18:40:39Z", "2018-01-25T19:11:27Z", allowed(`"iam:GenerateCredentialReport",` +
		`"iam:GenerateServiceLastAccessedDetails","iam:Get*","iam:List*","iam:SimulateCustomPolicy","iam:SimulatePrincipalPolicy"`)},
	"PowerUserAccess": {12, "2015-02-06T18:39:47Z", "2026-02-12T17:59:14Z",
		`{"Effect":"Allow","NotAction":["iam:*","organizations:*","account:*"],"Resource":"*"},` + allowed(`"account:GetAccountInformation",`+
			`"account:GetGovCloudAccountInformation","account:GetPrimaryEmail","account:ListRegions","iam:CreateServiceLinkedRole",`+
			`"iam:DeleteServiceLinkedRole","iam:ListRoles","organizations:DescribeEffectivePolicy","organizations:DescribeOrganization"`)},
	"ReadOnlyAccess": {182, "2015-02-06T18:39:48Z", "2026-04-03T15:27:12Z", allowed(`"cloudformation:BatchDescribeTypeConfigurations",` +
		`"cloudformation:Describe*","cloudformation:Detect*","cloudformation:Estimate*","cloudformation:Get*","cloudformation:List*",` +
		`"cloudformation:ValidateTemplate","ecr:BatchCheck*","ecr:BatchGet*","ecr:Describe*","ecr:Get*","ecr:List*","iam:Generate*","iam:Get*",` +
		`"iam:List*","iam:Simulate*","sts:GetAccessKeyInfo","sts:GetCallerIdentity","sts:GetSessionToken","tag:DescribeReportCreation","tag:Get*"`)},
	"ResourceGroupsandTagEditorReadOnlyAccess": {3, "2015-02-06T18:39:54Z", "2023-08-10T13:42:58Z", allowed(`"tag:getResources",` +
		`"tag:getTagKeys","tag:getTagValues","resource-groups:Get*","resource-groups:List*","resource-groups:Search*",` +
		`"cloudformation:DescribeStacks","cloudformation:ListStackResources","cloudformation:ListStacks"`)},
}

func (d *Directory) addAWSPolicies() {
	for name, p := range awsPolicies {
		arn := "arn:aws:iam::aws:policy/" + name
		text := `{"Version":"2012-10-17","Statement":[` + p.statements + `]}`
		d.policies[arn] = &managedPolicy{
			id: NewID("ANPA"), name: name, path: "/", arn: arn, aws: true, standard: p.version, next: p.version + 1,
			created: moment(p.created), updated: moment(p.updated), versions: map[int]policyVersion{p.version: {text, moment(p.updated)}},
		}
	}
}

// moment reads a time of the table above.
func moment(s string) time.Time {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		panic(err) // the table is wrong
	}
	return t
}
