package main

import (
	"context"
	"fmt"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
)

func putOthersLayers(ctx context.Context, w *world) (string, error) {
	if _, err := w.publish(ctx, w.own, "others-layers"); err != nil {
		return "", err
	}
	return "the caller published layers that role " + w.push.name + " uploaded", nil
}

func missingLayers(ctx context.Context, w *world) (string, error) {
	p, err := newImage()
	if err != nil {
		return "", err
	}
	return wants(w.put(ctx, w.own, "missing", p), "LayersNotFoundException")
}

func unreferencedLayers(ctx context.Context, w *world) (string, error) {
	p, err := w.publish(ctx, w.own, "referenced")
	if err != nil {
		return "", err
	}
	digest, err := p.image.ConfigName()
	if err != nil {
		return "", err
	}
	if _, err := w.clients.ECR.GetDownloadUrlForLayer(ctx, &ecr.GetDownloadUrlForLayerInput{RepositoryName: &w.own.name, LayerDigest: awssdk.String(digest.String())}); err != nil {
		return "", fmt.Errorf("the configuration of an image: %w", err)
	}
	loose, err := newImage()
	if err != nil {
		return "", err
	}
	uploader, err := w.login(ctx, w.push, w.own.project, sessionpolicyPush(w, w.own))
	if err != nil {
		return "", err
	}
	if err := w.upload(ctx, w.own, uploader, loose); err != nil {
		return "", err
	}
	if digest, err = loose.image.ConfigName(); err != nil {
		return "", err
	}
	_, err = w.clients.ECR.GetDownloadUrlForLayer(ctx, &ecr.GetDownloadUrlForLayerInput{RepositoryName: &w.own.name, LayerDigest: awssdk.String(digest.String())})
	return wants(err, "LayerInaccessibleException", "LayersNotFoundException")
}
