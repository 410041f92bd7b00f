package devcontainerimage

import (
	"errors"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers/outcome"
)

func TestAnUploadIsLookedAtWhenSomethingMayBeDue(t *testing.T) {
	for name, test := range map[string]struct{ rights, lease, want time.Duration }{
		"the next rights are due":    {15 * time.Minute, time.Hour, 12 * time.Minute},
		"the rights end":             {renewBefore, time.Hour, renewBefore},
		"the rights ended right now": {0, time.Hour, time.Second},
		"the lease ends earlier":     {15 * time.Minute, 45 * time.Second, 45 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			p := &pass{awsNow: uploadBegan, leaseLeft: test.lease}
			p.status.PushCredentials = &v1alpha1.CredentialReference{ExpiresAt: metav1.NewTime(uploadBegan.Add(test.rights))}
			_, err := p.awaitUpload()
			var waiting *outcome.WaitingError
			if !errors.As(err, &waiting) || waiting.After != test.want {
				t.Errorf("%v, want after %s", err, test.want)
			}
		})
	}
}
