package access

import (
	"errors"
	"fmt"

	authenticationclient "k8s.io/client-go/kubernetes/typed/authentication/v1"
	authorizationclient "k8s.io/client-go/kubernetes/typed/authorization/v1"
	eventsclient "k8s.io/client-go/kubernetes/typed/events/v1"
	"k8s.io/client-go/rest"
)

// calls are the clients of the few APIs beside our own. The client of all APIs would double the program.
type calls struct {
	authentication *authenticationclient.AuthenticationV1Client
	authorization  *authorizationclient.AuthorizationV1Client
	events         *eventsclient.EventsV1Client
}

func newCalls(config *rest.Config) (*calls, error) {
	config = rest.CopyConfig(config)
	config.QPS = -1 // the API server has limits of its own, and people wait
	authentication, err := authenticationclient.NewForConfig(config)
	authorization, err2 := authorizationclient.NewForConfig(config)
	events, err3 := eventsclient.NewForConfig(config)
	if err := errors.Join(err, err2, err3); err != nil {
		return nil, fmt.Errorf("make client: %w", err)
	}
	return &calls{authentication, authorization, events}, nil
}
