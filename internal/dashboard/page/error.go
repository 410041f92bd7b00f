package page

import (
	"errors"
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"imagecache.dev/internal/cluster"
	"imagecache.dev/internal/message"
)

// refusedError: the viewer may not do this. Its text tells which right is missing.
type refusedError struct{ lacks string }

func (e *refusedError) Error() string { return e.lacks }

// absentError: the object of a page does not exist, or not any more.
type absentError struct{ what string }

func (e *absentError) Error() string { return e.what }

// inputError: a form has a value that can't be used.
type inputError struct{ what string }

func (e *inputError) Error() string { return e.what }

// fail answers with a page that tells what went wrong and what to do.
func (p *Pages) fail(v *visit, err error) {
	var refused *refusedError
	var absent *absentError
	var input *inputError
	status, title, advice := http.StatusBadGateway, "This did not work", "Try again in a moment."
	switch {
	case errors.As(err, &refused):
		status, title = http.StatusForbidden, "You may not do this"
		advice = "Ask whoever gives rights in the cluster for it; docs/access.md lists the roles."
	case errors.As(err, &absent):
		status, title = http.StatusNotFound, "Not found"
		advice = "It may have been removed: requests are removed a day after they end, and images expire."
	case errors.As(err, &input):
		status, title, advice = http.StatusBadRequest, "This can't be used", "Go back and correct it."
	case apierrors.IsForbidden(err):
		status, title = http.StatusForbidden, "The cluster refused this"
		advice = "Ask whoever gives rights in the cluster for it; docs/access.md lists the roles."
	case apierrors.IsConflict(err):
		status, title = http.StatusConflict, "Somebody else changed it meanwhile"
		advice = "Look at it again, and repeat what you wanted to do."
	case apierrors.IsInvalid(err):
		status, title, advice = http.StatusUnprocessableEntity, "The cluster refused this", "Correct what the message names."
	}
	text := message.Sentence(cluster.Describe(err).Error())
	p.render(v, status, "error", frame{Title: title, Body: problem{Text: text, Advice: advice}})
}

// problem is the body of an error's page.
type problem struct{ Text, Advice string }
