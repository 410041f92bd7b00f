package access

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"imagecache.dev/internal/cluster"
)

// ErrNotAuthenticated means that the cluster does not accept a token.
var ErrNotAuthenticated = errors.New("the cluster does not accept this token")

// Callers authenticates the viewers of a dashboard in the cluster by their tokens.
type Callers struct {
	config  *rest.Config
	calls   *calls
	answers answers[question]

	mu     sync.Mutex
	tokens map[[sha256.Size]byte]known
}

// known is a caller whose token was reviewed a moment ago.
type known struct {
	caller *Caller
	at     time.Time
}

// question is a right of a user, whom name, groups and the rest of the identity name.
type question struct {
	user  string
	right Right
}

// NewCallers returns the callers of a cluster. config is that of the dashboard's service account, which may create
// TokenReviews and SubjectAccessReviews.
func NewCallers(config *rest.Config) (*Callers, error) {
	calls, err := newCalls(config)
	if err != nil {
		return nil, err
	}
	return &Callers{config: config, calls: calls, tokens: map[[sha256.Size]byte]known{}}, nil
}

// Authenticate returns the viewer that a token belongs to, or ErrNotAuthenticated. An answer is kept for 10 s.
func (c *Callers) Authenticate(ctx context.Context, token string) (*Caller, error) {
	key := sha256.Sum256([]byte(token))
	c.mu.Lock()
	found, ok := c.tokens[key]
	c.mu.Unlock()
	if ok && time.Since(found.at) < answersFor {
		return found.caller, nil
	}
	caller, err := c.review(ctx, token)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.tokens) >= maxAnswers {
		c.tokens = map[[sha256.Size]byte]known{}
	}
	c.tokens[key] = known{caller, time.Now()}
	return caller, nil
}

func (c *Callers) review(ctx context.Context, token string) (*Caller, error) {
	review := &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token}}
	answer, err := c.calls.authentication.TokenReviews().Create(ctx, review, metav1.CreateOptions{})
	if err != nil {
		return nil, fmt.Errorf("review token: %w", err)
	}
	if !answer.Status.Authenticated {
		return nil, ErrNotAuthenticated
	}
	own := rest.AnonymousClientConfig(c.config)
	own.BearerToken = token
	made, err := cluster.NewClient(own)
	if err != nil {
		return nil, err
	}
	calls, err := newCalls(own)
	if err != nil {
		return nil, err
	}
	return &Caller{all: c, user: answer.Status.User, client: made, calls: calls}, nil
}

// Caller is the viewer whose token came with a request. What it changes, it changes with that token.
type Caller struct {
	all    *Callers
	user   authenticationv1.UserInfo
	client client.Client
	calls  *calls
}

// Name returns the user's name.
func (c *Caller) Name() string { return c.user.Username }

// Client returns a client with the caller's token.
func (c *Caller) Client() client.Client { return c.client }

// Events reads events with the caller's token.
func (c *Caller) Events() EventReader { return eventReader{c.calls} }

// May asks the API server about the caller's right.
func (c *Caller) May(ctx context.Context, right Right) (bool, error) {
	identity := fmt.Sprintf("%q %q %q %q", c.user.Username, c.user.UID, c.user.Groups, c.user.Extra)
	return c.all.answers.get(question{identity, right}, func() (bool, error) {
		extra := map[string]authorizationv1.ExtraValue{}
		for name, values := range c.user.Extra {
			extra[name] = authorizationv1.ExtraValue(values)
		}
		review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
			ResourceAttributes: attributes(right), User: c.user.Username, UID: c.user.UID, Groups: c.user.Groups, Extra: extra,
		}}
		answer, err := c.all.calls.authorization.SubjectAccessReviews().Create(ctx, review, metav1.CreateOptions{})
		if err != nil {
			return false, fmt.Errorf("ask for the right to %s: %w", right, err)
		}
		return answer.Status.Allowed, nil
	})
}
