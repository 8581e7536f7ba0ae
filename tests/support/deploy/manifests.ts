import { readFileSync } from 'node:fs'
import { isDeepStrictEqual } from 'node:util'
import {
  dumpYaml,
  type KubernetesObject,
  loadYaml,
  type V1Deployment,
  type V1Service,
} from '@kubernetes/client-node'
import { Deployment } from 'kubernetes-models/apps/v1/Deployment'
import { Service } from 'kubernetes-models/v1/Service'
import { parse } from 'yaml'
import { ROOT } from './scripts.ts'

export const DIRECTORY = `${ROOT}deploy/kubernetes/`

export type Kustomization = {
  resources: string[]
  labels: { pairs: Record<string, string>; includeSelectors: boolean }[]
  images: { name: string }[]
  configMapGenerator: { name: string; envs: string[] }[]
  secretGenerator: { name: string; envs: string[] }[]
}

export const KUSTOMIZATION: Kustomization = parse(readFileSync(`${DIRECTORY}kustomization.yaml`, 'utf8'))

/** The manifest of this file as kustomize completes it: with the labels and what selects by them. */
function readManifest<T extends V1Deployment | V1Service>(file: string): T {
  const manifest = parse(readFileSync(`${DIRECTORY}${file}`, 'utf8'))
  const labels = Object.assign({}, ...KUSTOMIZATION.labels.map(({ pairs }) => pairs))
  manifest.metadata.labels = labels
  if (manifest.kind === 'Service') manifest.spec.selector = labels
  else {
    manifest.spec.selector = { matchLabels: labels }
    manifest.spec.template.metadata = { labels }
  }
  return manifest
}

export const DEPLOYMENT = readManifest<V1Deployment>('deployment.yaml')
export const SERVICE = readManifest<V1Service>('service.yaml')

const MODELS = { Deployment, Service }

/**
 * What Kubernetes would not take of a manifest, by its schemas, and fields that it does not know, which the schemas let
 * pass and the client of Kubernetes leaves out; undefined when all is well.
 */
export function manifestFault(manifest: KubernetesObject): string | undefined {
  const Model = MODELS[manifest.kind as keyof typeof MODELS]
  try {
    new Model(manifest as never).validate()
  } catch (error) {
    return (error as Error).message
  }
  const known = parse(dumpYaml(loadYaml(JSON.stringify(manifest))))
  return isDeepStrictEqual(known, manifest) ? undefined : 'it has a field that Kubernetes does not know'
}

/** Variables of a file for kustomize's `envs`. */
export function readEnvs(file: string): Record<string, string> {
  const lines = readFileSync(`${DIRECTORY}${file}`, 'utf8').split('\n')
  const set = lines.filter((line) => line !== '' && !line.startsWith('#'))
  return Object.fromEntries(set.map((line) => [line.split('=')[0], line.slice(line.indexOf('=') + 1)]))
}
