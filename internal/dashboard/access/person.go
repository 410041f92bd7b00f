package access

import (
	"context"
	"fmt"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Person is the viewer of a dashboard on a person's machine: the user of the kubeconfig. The API server is asked for
// its own rights.
type Person struct {
	name    string
	client  client.Client
	calls   *calls
	answers answers[Right]
}

// NewPerson returns the user of a configuration. c has the same user.
func NewPerson(ctx context.Context, config *rest.Config, c client.Client) (*Person, error) {
	calls, err := newCalls(config)
	if err != nil {
		return nil, err
	}
	person := &Person{client: c, calls: calls}
	// Clusters before Kubernetes 1.28 can't answer; the name is for information.
	review, err := calls.authentication.SelfSubjectReviews().Create(
		ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{},
	)
	if err == nil {
		person.name = review.Status.UserInfo.Username
	}
	return person, nil
}

// Name returns the user's name.
func (p *Person) Name() string { return p.name }

// Client returns the client of the kubeconfig.
func (p *Person) Client() client.Client { return p.client }

// Events reads events.
func (p *Person) Events() EventReader { return eventReader{p.calls} }

// May asks the API server about the user's own right.
func (p *Person) May(ctx context.Context, right Right) (bool, error) {
	return p.answers.get(right, func() (bool, error) {
		review := &authorizationv1.SelfSubjectAccessReview{
			Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: attributes(right)},
		}
		answer, err := p.calls.authorization.SelfSubjectAccessReviews().Create(ctx, review, metav1.CreateOptions{})
		if err != nil {
			return false, fmt.Errorf("ask for the right to %s: %w", right, err)
		}
		return answer.Status.Allowed, nil
	})
}

func attributes(right Right) *authorizationv1.ResourceAttributes {
	return &authorizationv1.ResourceAttributes{
		Namespace: right.Namespace, Verb: right.Verb, Group: right.Group(), Resource: right.Resource, Name: right.Name,
	}
}
