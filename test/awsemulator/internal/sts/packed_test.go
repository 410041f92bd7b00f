package sts

import (
	"fmt"
	"strings"
	"testing"
)

// The tags that EKS Pod Identity gives every session, and that a chained session inherits.
// https://docs.aws.amazon.com/eks/latest/userguide/pod-id-abac.html
var podIdentityTags = map[string]string{
	"eks-cluster-arn":            "arn:aws:eks:us-east-1:123456789012:cluster/production-platform",
	"eks-cluster-name":           "production-platform",
	"kubernetes-namespace":       "imagecache-system",
	"kubernetes-service-account": "imagecache-controller-manager",
	"kubernetes-pod-name":        "imagecache-controller-manager-7c9d8f6b5-x2k4q",
	"kubernetes-pod-uid":         "3f1c2e6a-8d47-4b15-9c0e-52a7d1f08b93",
}

func repositoriesPolicy(characters int) string {
	var b strings.Builder
	b.WriteString(`{"Version":"2012-10-17","Statement":[`)
	for i := 0; b.Len() < characters-200; i++ {
		fmt.Fprintf(&b, `{"Effect":"Allow","Action":["ecr:BatchGetImage","ecr:GetDownloadUrlForLayer"],"Resource":"arn:aws:ecr:us-east-1:123456789012:repository/runner-%x/image-build"},`, (i+1)*2654435761)
	}
	return b.String() + `{"Effect":"Allow","Action":"ecr:GetAuthorizationToken","Resource":"*"}]}`
}

func TestInheritedTagsTakeMuchOfThePackedSpace(t *testing.T) {
	one := repositoriesPolicy(400)
	small := percent(packedSize([]string{one}, nil), DefaultPackedLimit)
	tags := percent(packedSize(nil, podIdentityTags), DefaultPackedLimit)
	both := percent(packedSize([]string{one}, podIdentityTags), DefaultPackedLimit)
	large := percent(packedSize([]string{repositoriesPolicy(2048)}, nil), DefaultPackedLimit)
	t.Logf("small policy %d%%, inherited tags %d%%, both %d%%, policy of 2,048 characters %d%%", small, tags, both, large)
	if small >= both || tags >= both || both > 100 || large > 100 {
		t.Error("a policy of one repository fits with inherited tags, and a policy of the plain maximum fits without")
	}
}
