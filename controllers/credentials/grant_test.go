package credentials

import (
	"errors"
	"strings"
	"testing"
	"time"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/aws"
	"imagecache.dev/internal/sts"
	"imagecache.dev/test/fixture"
)

func TestErrorOfAGrantNamesWhatWasToBeGranted(t *testing.T) {
	grant := Grant{
		What: "upload rights", Project: &v1alpha1.ProjectImageCache{}, Repository: &v1alpha1.RepositoryStatus{ARN: "arn:aws:ecr:x"},
		Policy: func(arn string, deadline time.Time) string {
			if arn != "arn:aws:ecr:x" || !deadline.Equal(fixture.Noon.Add(15*time.Minute)) {
				t.Errorf("the policy is for %s until %s", arn, deadline)
			}
			return strings.Repeat("x", 4096) // longer than AWS accepts, so that nothing is asked
		},
		Duration: 15 * time.Minute,
	}
	_, err := grant.Create(t.Context(), nil, sts.NewGranter(nil), aws.Target{}, fixture.Noon)
	if !errors.Is(err, sts.ErrPolicyTooLong) || !strings.HasPrefix(err.Error(), "grant upload rights: ") {
		t.Errorf("the grant ended with %v", err)
	}
}
