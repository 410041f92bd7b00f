package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecr"
	ecrtypes "github.com/aws/aws-sdk-go-v2/service/ecr/types"

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
	pushed := repository{project: "pushed", name: sessionpolicy.RepositoryName(w.runner, "pushed")}
	pushed.arn = sessionpolicy.RepositoryARN(w.identity.Partition, w.clients.Region, w.identity.AccountID, pushed.name)
	pushed.uri = strings.TrimSuffix(created.uri, created.name) + pushed.name
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
	image, err := newImage()
	if err != nil {
		return "", err
	}
	uploader, err := w.login(ctx, w.push, pushed.project, sessionpolicyPush(w, pushed))
	if err != nil {
		return "", err
	}
	if err := w.upload(ctx, pushed, uploader, image); err == nil {
		_, removeErr := w.clients.ECR.DeleteRepository(ctx, &ecr.DeleteRepositoryInput{RepositoryName: &pushed.name, Force: true})
		return "", errors.Join(errors.New("upload rights make a repository where a template says so"), removeErr)
	}
	return "CreateRepository makes what it is asked for, and upload rights make no repository", nil
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
