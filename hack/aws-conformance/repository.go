package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecr"
	ecrtypes "github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"imagecache.dev/internal/sessionpolicy"
)

func describeAfterCreate(ctx context.Context, w *world) (string, error) {
	extra := repository{project: "extra", name: sessionpolicy.RepositoryName(w.runner, "extra")}
	if err := w.makeRepository(ctx, &extra); err != nil {
		return "", err
	}
	began, tries := w.now(), 0
	err := w.until(ctx, func() error {
		tries++
		_, err := w.clients.ECR.DescribeRepositories(ctx, &ecr.DescribeRepositoriesInput{RepositoryNames: []string{extra.name}})
		return err
	})
	took := w.now().Sub(began)
	_, removeErr := w.clients.ECR.DeleteRepository(ctx, &ecr.DeleteRepositoryInput{RepositoryName: &extra.name, Force: true})
	return fmt.Sprintf("seen at look %d, after %s", tries, took.Round(time.Millisecond)), errors.Join(err, removeErr)
}

// creationTemplates looks at what templates do to CreateRepository and to pushes: nothing, and that they make a repository
// for whoever may create one, and for nobody else.
func creationTemplates(ctx context.Context, w *world) (seen string, err error) {
	prefix, _, _ := strings.Cut(w.own.name, "/")
	_, err = w.clients.ECR.CreateRepositoryCreationTemplate(ctx, &ecr.CreateRepositoryCreationTemplateInput{
		Prefix: &prefix, ImageTagMutability: ecrtypes.ImageTagMutabilityMutable, AppliedFor: []ecrtypes.RCTAppliedFor{ecrtypes.RCTAppliedForCreateOnPush},
	})
	if err != nil {
		return "", fmt.Errorf("make a template: %w", err)
	}
	defer func() { err = errors.Join(err, w.removeTemplate(ctx, prefix)) }()
	created := repository{project: "template", name: sessionpolicy.RepositoryName(w.runner, "template")}
	if err := w.makeRepository(ctx, &created); err != nil {
		return "", err
	}
	pushed, control := repository{project: "pushed"}, repository{project: "control"}
	for _, r := range []*repository{&pushed, &control} {
		r.name = sessionpolicy.RepositoryName(w.runner, r.project)
		r.arn = sessionpolicy.RepositoryARN(w.identity.Partition, w.clients.Region, w.identity.AccountID, r.name)
		r.uri = strings.TrimSuffix(created.uri, created.name) + r.name
	}
	var made *ecr.DescribeRepositoriesOutput
	err = w.until(ctx, func() (err error) {
		made, err = w.clients.ECR.DescribeRepositories(ctx, &ecr.DescribeRepositoriesInput{RepositoryNames: []string{created.name}})
		return err
	})
	_, removeErr := w.clients.ECR.DeleteRepository(ctx, &ecr.DeleteRepositoryInput{RepositoryName: &created.name, Force: true})
	if err = errors.Join(err, removeErr); err != nil {
		return "", err
	}
	if made.Repositories[0].ImageTagMutability != ecrtypes.ImageTagMutabilityImmutable {
		return "", errors.New("a template changes what CreateRepository makes")
	}
	// The control: whoever may create a repository makes one by a push. Without it, a refusal would prove nothing.
	if err := w.pushMakes(ctx, control, w.wide, everything, true); err != nil {
		return "", err
	}
	if err := w.pushMakes(ctx, pushed, w.push, sessionpolicyPush(w, pushed), false); err != nil {
		return "", err
	}
	return "CreateRepository makes what it is asked for, a push makes a repository for ecr:*, and upload rights make none", nil
}

// pushMakes checks whether a push as a role makes a repository that does not exist. It removes what was made.
func (w *world) pushMakes(ctx context.Context, r repository, as role, policy string, want bool) error {
	image, err := newImage()
	if err != nil {
		return err
	}
	uploader, err := w.login(ctx, as, r.project, policy)
	if err != nil {
		return err
	}
	push := func() error { return w.upload(ctx, r, uploader, image) }
	if want {
		err = w.until(ctx, push) // a new template acts after a while
	} else if err := push(); !refusedPush(err) {
		return errors.Join(errors.New("a push by upload rights where a template makes repositories is not refused"), err, w.removeRepository(ctx, r.name))
	}
	if err != nil {
		return errors.Join(fmt.Errorf("a push by ecr:* makes no repository: %w", err), w.removeRepository(ctx, r.name))
	}
	_, err = w.clients.ECR.DescribeRepositories(ctx, &ecr.DescribeRepositoriesInput{RepositoryNames: []string{r.name}})
	var none *ecrtypes.RepositoryNotFoundException
	switch exists := err == nil; {
	case !exists && !errors.As(err, &none):
		return fmt.Errorf("look for repository %s: %w", r.name, err)
	case exists && !want:
		return errors.Join(errors.New("upload rights make a repository, although their push is refused"), w.removeRepository(ctx, r.name))
	case !exists && want:
		return errors.New("a push by ecr:* succeeds, and makes no repository")
	case exists:
		return w.removeRepository(ctx, r.name)
	}
	return nil
}

// refusedPush reports whether the registry answered that a push is denied or that its repository does not exist.
func refusedPush(err error) bool {
	var answered *transport.Error
	return errors.As(err, &answered) && (answered.StatusCode == http.StatusForbidden || answered.StatusCode == http.StatusNotFound)
}

// removeRepository removes a repository; one that is gone is removed.
func (w *world) removeRepository(ctx context.Context, name string) error {
	_, err := w.clients.ECR.DeleteRepository(ctx, &ecr.DeleteRepositoryInput{RepositoryName: &name, Force: true})
	var none *ecrtypes.RepositoryNotFoundException
	if err != nil && !errors.As(err, &none) {
		return fmt.Errorf("remove repository %s: %w", name, err)
	}
	return nil
}

// removeTemplate removes a template; one that is gone is removed.
func (w *world) removeTemplate(ctx context.Context, prefix string) error {
	_, err := w.clients.ECR.DeleteRepositoryCreationTemplate(ctx, &ecr.DeleteRepositoryCreationTemplateInput{Prefix: &prefix})
	var none *ecrtypes.TemplateNotFoundException
	if err != nil && !errors.As(err, &none) {
		return fmt.Errorf("remove template %s: %w", prefix, err)
	}
	return nil
}
