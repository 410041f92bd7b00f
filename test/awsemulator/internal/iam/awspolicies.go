package iam

import "time"

// addAWSPolicies adds those of AWS' managed policies that concern a registry, with the actions that AWS lists for them.
// https://docs.aws.amazon.com/AmazonECR/latest/userguide/security-iam-awsmanpol.html
func (d *Directory) addAWSPolicies() {
	const read = `"ecr:GetAuthorizationToken","ecr:BatchCheckLayerAvailability","ecr:GetDownloadUrlForLayer","ecr:GetRepositoryPolicy",` +
		`"ecr:DescribeRepositories","ecr:ListImages","ecr:DescribeImages","ecr:BatchGetImage","ecr:GetLifecyclePolicy",` +
		`"ecr:GetLifecyclePolicyPreview","ecr:ListTagsForResource","ecr:DescribeImageScanFindings"`
	const write = `"ecr:InitiateLayerUpload","ecr:UploadLayerPart","ecr:CompleteLayerUpload","ecr:PutImage"`
	for name, actions := range map[string]string{
		"AdministratorAccess":                      `"*"`,
		"AmazonEC2ContainerRegistryFullAccess":     `"ecr:*"`,
		"AmazonEC2ContainerRegistryPowerUser":      read + "," + write,
		"AmazonEC2ContainerRegistryReadOnly":       read,
		"AmazonEC2ContainerRegistryPullOnly":       `"ecr:GetAuthorizationToken","ecr:BatchImportUpstreamImage","ecr:BatchGetImage","ecr:GetDownloadUrlForLayer"`,
		"ResourceGroupsandTagEditorReadOnlyAccess": `"tag:getResources","tag:getTagKeys","tag:getTagValues"`,
	} {
		arn := "arn:aws:iam::aws:policy/" + name
		text := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":[` + actions + `],"Resource":"*"}]}`
		d.policies[arn] = &managedPolicy{
			id: NewID("ANPA"), name: name, path: "/", arn: arn, aws: true, standard: 1, next: 2,
			created: time.Date(2015, 2, 6, 18, 40, 0, 0, time.UTC), updated: time.Date(2015, 2, 6, 18, 40, 0, 0, time.UTC),
			versions: map[int]policyVersion{1: {text: text, created: time.Date(2015, 2, 6, 18, 40, 0, 0, time.UTC)}},
		}
	}
}
