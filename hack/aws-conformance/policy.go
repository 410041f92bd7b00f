package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"

	"imagecache.dev/internal/sessionpolicy"
)

// policyWithoutForce sets the policy twice: the first must not shut out who sets the second.
func policyWithoutForce(ctx context.Context, w *world) (string, error) {
	for range 2 {
		if err := w.protect(ctx, w.own, w.pull); err != nil {
			return "", err
		}
	}
	out, err := w.clients.ECR.GetRepositoryPolicy(ctx, &ecr.GetRepositoryPolicyInput{RepositoryName: &w.own.name})
	if err != nil {
		return "", errors.Join(fmt.Errorf("read the policy: %w", err), w.open(ctx, w.own))
	}
	if !sessionpolicy.Equal(awssdk.ToString(out.PolicyText), w.policyOf(w.own, w.pull)) {
		return "", errors.Join(fmt.Errorf("ECR returns another policy: %s", awssdk.ToString(out.PolicyText)), w.open(ctx, w.own))
	}
	return "taken twice and returned", w.open(ctx, w.own)
}

func policyChanges(ctx context.Context, w *world) (string, error) {
	if err := readable(ctx, w, "changes"); err != nil {
		return "", err
	}
	reader, err := w.login(ctx, w.wide, w.own.project, "")
	if err != nil {
		return "", err
	}
	if err := w.pullManifest(ctx, w.own, reader, "changes"); err != nil {
		return "", err
	}
	// The pull role's sessions are let in, and this reader is not one of them.
	if err := w.protect(ctx, w.own, w.pull); err != nil {
		return "", err
	}
	began := w.now()
	err = w.until(ctx, func() error { return refuses("reading", w.pullManifest(ctx, w.own, reader, "changes")) })
	shut := w.now().Sub(began)
	if err != nil {
		return "", err
	}
	if err := w.open(ctx, w.own); err != nil {
		return "", err
	}
	began = w.now()
	err = w.until(ctx, func() error { return w.pullManifest(ctx, w.own, reader, "changes") })
	return fmt.Sprintf("a denial acts after %s, its removal after %s", shut.Round(time.Millisecond), w.now().Sub(began).Round(time.Millisecond)), err
}

// repositoryTagOnPull lets a role pull from repositories of one tag: the other repository is refused for its tag alone.
func repositoryTagOnPull(ctx context.Context, w *world) (string, error) {
	if err := readable(ctx, w, "tagged"); err != nil {
		return "", err
	}
	policy := fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ecr:GetAuthorizationToken","Resource":"*"},`+
		`{"Effect":"Allow","Action":["ecr:BatchGetImage","ecr:GetDownloadUrlForLayer"],"Resource":"*","Condition":{"StringEquals":{"aws:ResourceTag/%s":%q}}}]}`,
		sessionpolicy.ProjectTag, w.own.project)
	reader, err := w.login(ctx, w.wide, w.own.project, policy)
	if err != nil {
		return "", err
	}
	if err := w.pullManifest(ctx, w.own, reader, "tagged"); err != nil {
		return "", fmt.Errorf("read the repository with the tag: %w", err)
	}
	return "the repository with the tag is read, the other is not", refuses("reading the repository with another tag", w.pullManifest(ctx, w.other, reader, "tagged"))
}
