package inspect

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	authorizationclient "k8s.io/client-go/kubernetes/typed/authorization/v1"
	"k8s.io/client-go/rest"

	"imagecache.dev/internal/cluster"
)

// A clock difference above clockWarning is unusual. At clockFailure, AWS rejects signatures:
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-troubleshooting.html
const (
	clockWarning = 30 * time.Second
	clockFailure = 5 * time.Minute
)

// right is a permission that a runner needs in its namespace.
type right struct{ group, resource, verb string }

// rights are the permissions that `imagecache prepare` uses.
var rights = []right{
	{"imagecache.dev", "projectimagecaches", "get"},
	{"imagecache.dev", "projectimagecaches", "list"},
	{"imagecache.dev", "devcontainerimages", "create"},
	{"imagecache.dev", "devcontainerimages", "watch"},
	{"imagecache.dev", "devcontainerimages", "patch"},
	{"imagecache.dev", "devcontainerimages", "report"},
	{"coordination.k8s.io", "leases", "get"},
	{"coordination.k8s.io", "leases", "update"},
	{"", "secrets", "get"},
}

// clusterFindings checks that the cluster answers, that its clock agrees with this machine's clock, and the user's
// permissions. ok reports whether further checks of the cluster make sense.
func clusterFindings(
	ctx context.Context, config *rest.Config, namespace string, now func() time.Time,
) (list []Finding, ok bool) {
	f := &findings{area: areaCluster}
	answered, err := ask(ctx, config)
	if err != nil {
		f.add(
			"reachable", ResultFailed, cluster.Describe(err).Error(),
			"check --kubeconfig and --context, and that the cluster is running",
		)
		return f.list, false
	}
	f.ok("reachable", config.Host)
	f.clock(answered, now())
	missing, err := missingRights(ctx, config, namespace)
	if err != nil {
		f.add("rights", ResultSkipped, cluster.Describe(err).Error(), "")
		return f.list, true
	}
	if len(missing) == 0 {
		f.ok("rights", fmt.Sprintf("all permissions that prepare needs in namespace %s", namespace))
	} else {
		f.add("rights", ResultFailed, fmt.Sprintf("not allowed in namespace %s: %s", namespace, strings.Join(missing, ", ")),
			"bind the ClusterRole imagecache-runner in the namespace (config/rbac)")
	}
	return f.list, true
}

// ask asks the API server for its version, and returns the server's time, or zero if the answer has none.
func ask(ctx context.Context, config *rest.Config) (time.Time, error) {
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return time.Time{}, err
	}
	address, _, err := rest.DefaultServerUrlFor(config)
	if err != nil {
		return time.Time{}, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address.JoinPath("version").String(), nil)
	if err != nil {
		return time.Time{}, err
	}
	response, err := client.Do(request)
	if err != nil {
		return time.Time{}, err
	}
	_ = response.Body.Close()
	if response.StatusCode == http.StatusUnauthorized {
		return time.Time{}, fmt.Errorf("the cluster does not accept these credentials")
	}
	date := response.Header.Get("Date")
	if date == "" {
		return time.Time{}, nil
	}
	return http.ParseTime(date)
}

func (f *findings) clock(said, now time.Time) {
	const advice = "set this machine's clock, or the cluster's clock: AWS rejects signatures that are five minutes off"
	if said.IsZero() {
		f.add("clock", ResultSkipped, "the cluster's answer does not contain the time", "")
		return
	}
	apart := now.Sub(said).Abs().Round(time.Second)
	message := fmt.Sprintf("this machine's clock differs by %s from the cluster's clock", apart)
	switch {
	case apart > clockFailure:
		f.add("clock", ResultFailed, message, advice)
	case apart > clockWarning:
		f.add("clock", ResultWarning, message, advice)
	default:
		f.ok("clock", message)
	}
}

// missingRights returns the permissions that the user lacks according to the cluster.
func missingRights(ctx context.Context, config *rest.Config, namespace string) ([]string, error) {
	client, err := authorizationclient.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	var missing []string
	for _, right := range rights {
		review, err := client.SelfSubjectAccessReviews().Create(ctx, &authorizationv1.SelfSubjectAccessReview{
			Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &authorizationv1.ResourceAttributes{
				Namespace: namespace, Group: right.group, Resource: right.resource, Verb: right.verb,
			}},
		}, metav1.CreateOptions{})
		if err != nil {
			return nil, err
		}
		if !review.Status.Allowed {
			missing = append(missing, right.verb+" "+right.resource)
		}
	}
	return missing, nil
}
