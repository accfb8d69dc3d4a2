# %% [markdown]
# # word2vec, 식 하나씩 따라가기
#
# 다음 두 책은 word2vec을 직접 구현하며 가르칩니다.
#
# - **책**: 사이토 고키, 『밑바닥부터 시작하는 딥러닝 2』, 2장부터 4장까지
# - **d2l**: Zhang 외, *Dive into Deep Learning*, 15.1절부터 15.4절까지
#
# 이 파일은 `w2v_jax/core.py`의 80줄 남짓한 코드로 두 책을 절마다 따라갑니다. 책에서는 역전파를
# 모두 손으로 구현합니다. 여기서는 `jax.grad`가 기울기를 구합니다. 각 셀은 자신의 주장을
# `assert`로 확인합니다. 파일이 끝까지 실행되면 모든 주장이 맞는 것입니다.
#
# 두 책이 바탕으로 삼은 논문은 Mikolov 외, *Efficient Estimation of Word Representations in Vector
# Space* (2013a)와 *Distributed Representations of Words and Phrases and their Compositionality*
# (2013b)입니다.
#
# 기호: $V$는 어휘 수, $D$는 단어 벡터의 차원 수, $K$는 네거티브 샘플(부정적 예)의 수입니다.
#
# CPU 코어 두 개에서 전체를 실행하면 3분쯤 걸립니다. 환경 변수 `W2V_JAX_SMALL=1`을 설정하면 몇 초
# 만에 끝납니다. 그림은 `runs/walkthrough/`에 저장됩니다. 그림 속 글자는 영어입니다. matplotlib의
# 기본 글꼴에는 한글이 없기 때문입니다.

# %%
import hashlib
import os
import time
from collections import Counter
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax

import w2v_jax as w2v
from w2v_jax.core import (
    batch_loss,
    cbow_loss,
    embed,
    negative_sampling_loss,
    noise_distribution,
    sample_negatives,
    score,
    skipgram_loss,
    train_step,
)
from w2v_jax.data.sources import locate, read_lines
from w2v_jax.types import Params

try:
    import matplotlib.pyplot as plt
except ImportError:
    plt = None

SMALL = bool(os.environ.get("W2V_JAX_SMALL"))  # 몇 분 대신 몇 초
NOTEBOOK = "get_ipython" in globals()
OUT = Path("runs/walkthrough")
OUT.mkdir(parents=True, exist_ok=True)
if plt and not NOTEBOOK:
    plt.switch_backend("agg")  # 창을 열지 않고 파일만 씁니다


def picture(name, draw, columns=1):
    """draw(axes, ..)가 그린 그림을 저장합니다. 노트북에서는 화면에도 보입니다."""
    if plt is None:
        print(f"matplotlib이 없어 {name}.png를 그리지 못합니다: pip install 'w2v_jax[eval]'")
        return
    size = (4.3 * columns, 3.8) if columns > 1 else (7, 6)
    figure, axes = plt.subplots(1, columns, figsize=size, layout="constrained", squeeze=False)
    draw(*axes[0])
    figure.savefig(OUT / f"{name}.png", dpi=120)
    if NOTEBOOK:
        plt.show()
    plt.close(figure)
    print(f"그림: {OUT / name}.png")


# %% [markdown]
# ## 1. 단어를 숫자로
#
# *책 2.3.1 (`preprocess`), d2l 15.3.1*
#
# 서로 다른 단어마다 번호를 하나씩 붙입니다. 이 번호가 단어 ID입니다. 텍스트는 단어 ID의 배열이
# 됩니다. 책의 첫 말뭉치는 문장 하나입니다. 토큰은 8개이고 서로 다른 단어는 7개입니다. *say*가 두
# 번 나오기 때문입니다.

# %%
text = "you say goodbye and i say hello ."
sentence = text.split()
words = list(dict.fromkeys(sentence))
word_to_id = {word: i for i, word in enumerate(words)}
corpus = np.array([word_to_id[word] for word in sentence])

V = len(words)
print(words)
print(corpus)
assert V == 7 and len(corpus) == 8
assert [words[i] for i in corpus] == sentence

# %% [markdown]
# ## 2. 원핫 벡터와 W의 곱 = 행 추출
#
# *책 4.1.1 (`Embedding`), d2l 15.1.1, 15.4.1*
#
# 책의 3장에서는 단어를 길이 $V$인 원핫 벡터 $x$로 나타내고, 형상이 $[V, D]$인 가중치 $W$와
# 곱합니다. $x$의 원소는 하나만 1이고 나머지는 모두 0입니다. 따라서 곱은 $W$의 한 행입니다.
#
# $$x^\top W = W_{i} \quad\text{where}\quad x_i = 1$$
#
# `embed`는 그 행을 꺼낼 뿐, 곱셈은 하지 않습니다. 두 결과는 마지막 비트까지 같습니다.

# %%
D = 3
W = jax.random.normal(jax.random.key(0), (V, D))
one_hot = jax.nn.one_hot(corpus, V)  # [8, V]

rows = embed(W, corpus)  # [8, D]
with jax.default_matmul_precision("highest"):
    product = one_hot @ W  # [8, D]
print(f"원핫 {one_hot.shape} @ W {W.shape} = {product.shape}")
assert (product == rows).all()

# %% [markdown]
# 얼마나 절약될까요? 어휘가 $V$ = 1,000,000개이고 미니배치가 100개이면, 원핫 벡터에는 숫자가 1억
# 개 들어 있습니다. 단어 ID로는 100개면 됩니다.

# %% [markdown]
# ## 3. 반복되는 행의 기울기 더하기
#
# *책 4.1.2 (`Embedding`의 역전파)*
#
# *say*는 문장의 1번과 5번 위치에 있습니다(0부터 셉니다). 두 위치 모두 $W$의 같은 행을 읽습니다.
# 그래서 그 행에는 두 위치의 기울기가 함께 모입니다.
#
# $$\frac{\partial L}{\partial W_i} = \sum_{n:\,\mathrm{id}_n = i} \frac{\partial L}{\partial h_n}$$
#
# `dW[ids] = dh`처럼 대입하면 마지막 기울기만 남습니다. 책이 주의하라고 하는 실수가 바로
# 이것입니다. `jax.grad`는 `embed`의 계산을 그대로 미분하므로 기울기를 더합니다.

# %%
dh = jax.random.normal(jax.random.key(1), (len(corpus), D))  # dL/dh, 아무 값이나


def loss_with_gradient_dh(W):
    """n번째로 꺼낸 행에 대한 미분이 dh[n]인 손실입니다."""
    return jnp.sum(embed(W, corpus) * dh)


dW = jax.grad(loss_with_gradient_dh)(W)

added = np.zeros((V, D), np.float32)
np.add.at(added, corpus, dh)
assigned = np.zeros((V, D), np.float32)
assigned[corpus] = dh

say = word_to_id["say"]
print("'say'의 기울기  jax.grad     ", dW[say])
print("               둘을 더한 값 ", added[say])
print("               마지막 값만  ", assigned[say])
np.testing.assert_allclose(dW, added, rtol=1e-6)
np.testing.assert_allclose(dW[say], dh[1] + dh[5], rtol=1e-6)
np.testing.assert_allclose(dW, one_hot.T @ dh, rtol=1e-5)  # 원핫 벡터와 W의 곱에서 나올 값
assert not np.allclose(dW[say], assigned[say])

# %% [markdown]
# ## 4. 다중 분류에서 이진 분류로
#
# *책 4.2.1~4.2.4 (`EmbeddingDot`), d2l 15.1.3, 15.2*
#
# 모델에는 가중치가 두 개 있습니다. 입력 측 가중치에서는 은닉층의 벡터 $h$를 얻습니다.
# skip-gram에서는 중심 단어의 행이고, CBOW에서는 맥락에 있는 행들의 평균입니다. 출력 측 가중치에는
# 추측할 단어 $w$마다 행 $u_w$가 있습니다. $w$의 점수는 두 벡터의 내적입니다.
#
# $$s_w = u_w^\top h$$
#
# 소프트맥스는 *V개 단어 중 무엇인가?* 라고 묻습니다. 그러려면 모든 단어의 점수가 필요하고,
# 기울기는 출력 측 가중치의 모든 행을 바꿉니다.
#
# $$P(w \mid h) = \frac{\exp(u_w^\top h)}{\sum_{v=1}^{V} \exp(u_v^\top h)}$$
#
# 네거티브 샘플링은 *이 단어가 맞는가, 아닌가?* 라고 묻습니다. 정답 단어 하나와 무작위로 뽑은 단어
# $K$개에 대해서만 묻습니다. $V$가 아무리 커도 점수는 $1 + K$개면 충분하고, 바뀌는 행도 많아야
# $1 + K$개입니다.

# %%
big_V, big_D, K = 10_000, 100, 5
U = 0.1 * jax.random.normal(jax.random.key(2), (big_V, big_D))  # 출력 측 가중치
h = jax.random.normal(jax.random.key(3), (big_D,))
positive = 42
negatives = jnp.array([7, 99, 1_234, 5_678, 9_999])


def softmax_loss(U):
    return -jax.nn.log_softmax(score(h, U))[positive]


def sampled_loss(U):
    return negative_sampling_loss(score(h, embed(U, positive)), score(h, embed(U, negatives)))


def rows_changed(loss):
    return int((jax.grad(loss)(U) != 0).any(axis=1).sum())


for name, loss in (("softmax", softmax_loss), ("negative sampling", sampled_loss)):
    print(f"{name:18} 출력 측 {big_V:,}행 중 {rows_changed(loss):,}행을 바꿉니다")
assert rows_changed(softmax_loss) == big_V
assert rows_changed(sampled_loss) == 1 + K

# %% [markdown]
# ## 5. 시그모이드와 교차 엔트로피: 미분이 y - t인 이유
#
# *책 4.2.3 (`SigmoidWithLoss`), d2l 15.4.2 (`SigmoidBCELoss`)*
#
# 시그모이드 함수는 점수를 확률 $y$로 바꿉니다. 정답 레이블 $t$는 맞으면 1, 아니면 0입니다. 교차
# 엔트로피 오차는 정답 쪽 확률에 로그를 취합니다.
#
# $$y = \sigma(s) = \frac{1}{1 + e^{-s}}, \qquad L = -t \log y - (1 - t) \log (1 - y)$$
#
# 연쇄 법칙에 따라 두 미분을 곱합니다. 두 번째 미분이 첫 번째 미분의 분모를 상쇄합니다.
#
# $$\frac{\partial L}{\partial s}
#   = \frac{\partial L}{\partial y}\,\frac{\partial y}{\partial s}
#   = \frac{y - t}{y\,(1 - y)} \cdot y\,(1 - y)
#   = y - t$$
#
# 기울기는 곧 오차입니다. 확신을 갖고 맞히면 0에 가깝고, 확신을 갖고 틀리면 크기가 1에 가깝습니다.
#
# 코드는 $y$를 구한 다음 로그를 취하지 않습니다. $\log \sigma(s)$를 하나의 함수로 계산합니다.
# $t = 0$일 때는 $1 - \sigma(s) = \sigma(-s)$를 이용합니다. $s = -100$에서 그 차이가 드러납니다.

# %%
scores = jnp.array([-4.0, -1.0, 0.0, 1.0, 4.0])


def cross_entropy(s, t):
    return -jax.nn.log_sigmoid(jnp.where(t == 1, s, -s))


for t in (1, 0):
    y = jax.nn.sigmoid(scores)
    slope = jax.vmap(jax.grad(cross_entropy), in_axes=(0, None))(scores, t)
    print(f"t = {t}   y - t    {np.round(y - t, 4)}\n        jax.grad {np.round(slope, 4)}")
    np.testing.assert_allclose(slope, y - t, atol=1e-6)

s = jnp.float32(-100)
print(f"s = -100일 때: log(sigmoid(s)) = {jnp.log(jax.nn.sigmoid(s))}, log_sigmoid(s) = ", end="")
print(jax.nn.log_sigmoid(s))
assert jnp.isinf(jnp.log(jax.nn.sigmoid(s))) and jax.nn.log_sigmoid(s) == -100

# %% [markdown]
# d2l은 점수 두 행으로 손실 함수를 확인합니다. 마스크는 둘째 행의 두 원소를 제외합니다. d2l에 실린
# 값은 0.9352와 1.8462입니다. 위의 함수에서도 같은 두 값이 나옵니다.

# %%
d2l_scores = jnp.array([[1.1, -2.2, 3.3, -4.4]] * 2)
labels = jnp.array([[1, 0, 0, 0], [0, 1, 0, 0]])
masks = jnp.array([[1, 1, 1, 1], [1, 1, 0, 0]])
losses = jnp.sum(cross_entropy(d2l_scores, labels) * masks, axis=1) / jnp.sum(masks, axis=1)
print(losses)
np.testing.assert_allclose(losses, [0.9352, 1.8462], atol=5e-5)

# %% [markdown]
# ## 6. 네거티브 샘플링의 손실
#
# *책 4.2.5, 4.2.7 (`NegativeSamplingLoss`), d2l 15.2.1, Mikolov 외 2013b 식 4*
#
# 레이블이 1인 긍정적 예 하나와 레이블이 0인 네거티브 샘플 $K$개의 교차 엔트로피 오차를 더합니다.
#
# $$L = -\log \sigma(u_+^\top h) - \sum_{k=1}^{K} \log \sigma(-u_k^\top h)$$
#
# 5절에 따르면, $h$에 대한 기울기는 출력 측의 행 $1 + K$개에 각각의 오차를 곱해서 더한 것입니다.
#
# $$\frac{\partial L}{\partial h} = \sum_{j=0}^{K} (y_j - t_j)\, u_j$$

# %%
targets = jnp.append(positive, negatives)  # 긍정적 예가 맨 앞
label = jnp.array([1, 0, 0, 0, 0, 0])
u = embed(U, targets)


def loss_of(h):
    all_scores = score(h, u)
    return negative_sampling_loss(all_scores[0], all_scores[1:])


np.testing.assert_allclose(loss_of(h), jnp.sum(cross_entropy(score(h, u), label)), rtol=1e-6)
by_the_formula = (jax.nn.sigmoid(score(h, u)) - label) @ u
np.testing.assert_allclose(jax.grad(loss_of)(h), by_the_formula, atol=1e-5)
print(f"손실 {loss_of(h):.4f}, h에 대한 기울기의 길이 {jnp.linalg.norm(by_the_formula):.4f}")

# 학습 전에는 점수가 거의 0이므로, 답 하나의 손실은 log 2입니다.
chance = (1 + K) * np.log(2)
print(f"아무것도 모르는 모델: (1 + K) log 2 = {chance:.4f}")
assert np.isclose(negative_sampling_loss(jnp.zeros(()), jnp.zeros(K)), chance)

# %% [markdown]
# **소프트맥스를 한 번도 계산하지 않고 무엇을 배울까요?** 중심 단어 하나를 정해 둡니다. 그 맥락에
# 단어 $w$가 나올 확률을 $P(w)$, 네거티브 샘플을 뽑는 확률분포를 $P_n(w)$라고 합니다. 손실의
# 기댓값은 다음과 같습니다.
#
# $$\mathbb{E}[L] = -\sum_w P(w) \log \sigma(s_w) - K \sum_w P_n(w) \log \sigma(-s_w)$$
#
# $s_w$로 미분한 값은 다음 점수에서 0이 됩니다(Levy와 Goldberg 2014).
#
# $$s_w = \log \frac{P(w)}{K\, P_n(w)}$$
#
# 따라서 $\operatorname{softmax}(s + \log P_n) = P$입니다. 네거티브 샘플링은 소프트맥스와 똑같은
# 확률분포를 배웁니다. 점수에 $\log P_n$을 더하기만 하면 됩니다. 9절과 14절에서 이 사실을
# 이용합니다.

# %%
P = jnp.array([0.5, 0.3, 0.15, 0.05])  # 맥락의 확률분포
Pn = jnp.array([0.1, 0.2, 0.3, 0.4])  # 네거티브 샘플의 확률분포


def expected_loss(s):
    yes, no = jax.nn.log_sigmoid(s), jax.nn.log_sigmoid(-s)
    return -jnp.sum(P * yes) - K * jnp.sum(Pn * no)


best = jnp.log(P / (K * Pn))
print("최적점의 기울기        ", jax.grad(expected_loss)(best))
print("softmax(s + log Pn)    ", jax.nn.softmax(best + jnp.log(Pn)), "= P")
np.testing.assert_allclose(jax.grad(expected_loss)(best), 0, atol=1e-6)
np.testing.assert_allclose(jax.nn.softmax(best + jnp.log(Pn)), P, rtol=1e-5)

# %% [markdown]
# ## 7. 네거티브 샘플 고르기: 출현 횟수의 0.75제곱
#
# *책 4.2.6 (`UnigramSampler`), d2l 15.3.4 (`get_negatives`, `RandomGenerator`), Mikolov 외 2013b
# 2.2절*
#
# 네거티브 샘플은 다음 노이즈 분포에서 뽑습니다.
#
# $$P_n(w) = \frac{\mathrm{count}(w)^{0.75}}{\sum_v \mathrm{count}(v)^{0.75}}$$
#
# 0.75제곱을 하면 드문 단어의 확률이 올라갑니다. 그러지 않으면 드문 단어는 네거티브 샘플로 거의
# 뽑히지 않습니다. 그러면 모델은 그 단어가 무엇과 어울리지 *않는지* 거의 배우지 못합니다. 책의
# 예에는 확률이 0.7, 0.29, 0.01인 세 단어가 나옵니다.

# %%
counts = jnp.array([70.0, 29.0, 1.0])
print(" 횟수    1제곱    0.75제곱    0제곱")
for row in zip(counts, *(noise_distribution(counts, p) for p in (1, 0.75, 0)), strict=True):
    print("{:5.0f} {:8.4f} {:11.4f} {:8.4f}".format(*map(float, row)))
p = noise_distribution(counts)
np.testing.assert_allclose(p, [0.64196878, 0.33150408, 0.02652714], rtol=1e-6)  # 책과 같은 값
assert p[2] > 2 * 0.01 and p[0] < 0.70

drawn = sample_negatives(jax.random.key(4), p, (20_000, K))
share = jnp.bincount(drawn.ravel(), length=3) / drawn.size
print(f"{drawn.size:,}번 뽑은 비율: {share}")
np.testing.assert_allclose(share, p, atol=0.01)

# %% [markdown]
# 출처마다 다른 점이 있습니다. 책의 CPU용 샘플러는 타깃을 뽑지 않고, 같은 단어를 두 번 뽑지도
# 않습니다. GPU용 샘플러는 둘 다 허용합니다. d2l은 뽑은 단어가 맥락에 있으면 다시 뽑습니다.
# `sample_negatives`는 Mikolov 외의 논문대로 복원 추출을 하고 타깃도 허용합니다. 6절의 $s_w$ 식은
# 이 방법에서 정확히 성립합니다.

# %% [markdown]
# ## 8. 학습 데이터와 미니배치
#
# *책 3.3.1 (`create_contexts_target`), d2l 15.3.3 (`get_centers_and_contexts`), 15.3.5
# (`batchify`)*
#
# 윈도우 크기가 1이면 좌우로 한 단어씩 봅니다.
#
# - **CBOW**: 맥락에서 그 사이의 단어를 추측합니다.
# - **skip-gram**: 중심 단어에서 맥락의 단어를 하나씩 추측합니다.

# %%
contexts = np.stack([corpus[:-2], corpus[2:]], axis=1)  # [6, 2]
target = corpus[1:-1]  # [6]
for (left, right), centre in zip(contexts, target, strict=True):
    print(f"CBOW       {words[left]:>8} ___ {words[right]:8} -> {words[centre]}")

centre = np.concatenate([corpus[1:], corpus[:-1]])  # [14]
context = np.concatenate([corpus[:-1], corpus[1:]])  # [14]
said = [words[o] for c, o in zip(centre, context, strict=True) if words[c] == "say"]
print("skip-gram  say ->", ", ".join(said))
assert contexts.shape == (6, 2) and centre.shape == (14,)
assert sorted(said) == ["goodbye", "hello", "i", "you"]

# %% [markdown]
# `skipgram_loss`와 `cbow_loss`는 데이터 **하나**의 손실을 계산합니다. `batch_loss`는 여기에
# `jax.vmap`을 적용하고 평균을 냅니다. 반복문도, d2l의 `bmm`처럼 전치한 행렬의 곱도 필요 없습니다.
#
# skip-gram은 쌍 하나를 데이터 하나로 봅니다. 그래서 형상이 모두 같고, 패딩과 마스크가 필요
# 없습니다. d2l의 `batchify`가 만드는 `masks`와 `labels`도 여기에는 없습니다.

# %%
K_toy = 5
p_toy = noise_distribution(jnp.bincount(corpus, length=V).astype(jnp.float32))


def init(key, V, D):
    """책처럼 두 가중치 모두 0.01 N(0, 1)입니다."""
    of_input, of_output = jax.random.split(key)
    return Params(
        0.01 * jax.random.normal(of_input, (V, D)), 0.01 * jax.random.normal(of_output, (V, D))
    )


params = init(jax.random.key(5), V, D)
drawn = sample_negatives(jax.random.key(6), p_toy, (len(centre), K_toy))
one_by_one = [skipgram_loss(params, *one) for one in zip(centre, context, drawn, strict=True)]
together = batch_loss(skipgram_loss, params, (centre, context, drawn))
print(f"손실 {len(one_by_one)}개의 평균: 하나씩 {np.mean(one_by_one):.6f}, vmap {together:.6f}")
np.testing.assert_allclose(together, np.mean(one_by_one), rtol=1e-5)
np.testing.assert_allclose(together, chance, rtol=1e-3)  # 아직 배운 것이 없습니다

# %% [markdown]
# ## 9. 문장 하나를 학습하기
#
# *책 4.3.1, 4.3.2, d2l 15.4.2 (`train`)*
#
# `train_step`은 `batch_loss`의 기울기를 구해 optax의 옵티마이저에 넘깁니다. 옵티마이저는 두 책과
# 같은 Adam입니다. 문장이 아주 짧으므로 스텝마다 문장 전체를 학습합니다. 네거티브 샘플은 스텝마다
# 새로 뽑습니다.

# %%
STEPS, COPIES = 600, 8  # 스텝마다 문장을 여덟 번: 네거티브 샘플이 많아 덜 흔들립니다
optimizer = optax.adam(0.02)


def train_toy(loss, *examples, key):
    """스텝마다 모든 데이터로 학습합니다 -> 두 가중치, 스텝별 손실"""
    params = init(key, V, 5)
    opt_state, losses = optimizer.init(params), []
    examples = [np.tile(x, (COPIES,) + (1,) * (x.ndim - 1)) for x in examples]
    for step in range(STEPS):
        negatives = sample_negatives(
            jax.random.fold_in(key, step), p_toy, (len(examples[0]), K_toy)
        )
        params, opt_state, value = train_step(
            params, opt_state, (*examples, negatives), loss=loss, optimizer=optimizer
        )
        losses.append(float(value))
    return params, losses


cbow, cbow_losses = train_toy(cbow_loss, contexts, target, key=jax.random.key(7))
skipgram, skipgram_losses = train_toy(skipgram_loss, centre, context, key=jax.random.key(8))
for name, losses in (("CBOW", cbow_losses), ("skip-gram", skipgram_losses)):
    print(f"{name:10} 손실 {losses[0]:.3f} -> {np.mean(losses[-50:]):.3f}")
    assert np.mean(losses[-50:]) < losses[0] / 2

# %% [markdown]
# **CBOW의 대답.** 6절에 따라 확률은 $\operatorname{softmax}(s + \log P_n)$입니다.
#
# 빈칸 여섯 개 가운데 네 개는 거의 확실하게 맞힙니다. 나머지 두 개, *say ___ and*와 *and ___
# say*에서는 두 단어가 반반으로 갈립니다. CBOW는 맥락의 **평균**을 사용하고, 평균을 내면 순서가
# 사라집니다. 그래서 모델에게 이 두 빈칸은 같은 문제이고, 정답은 *goodbye*와 *i* 두 가지입니다.

# %%
h = jnp.mean(embed(cbow.input, contexts), axis=1)  # [6, D]
of_cbow = jax.nn.softmax(h @ cbow.output.T + jnp.log(p_toy))  # [6, V]
for (left, right), row in zip(contexts, np.asarray(of_cbow), strict=True):
    likely = [f"{words[i]} {row[i]:.2f}" for i in np.argsort(-row) if row[i] > 0.2]
    print(f"{words[left]:>8} ___ {words[right]:8} {', '.join(likely)}")
of_target = np.asarray(of_cbow)[np.arange(len(target)), target]
ordered = np.array([words[t] not in ("goodbye", "i") for t in target])
assert (of_target[ordered] > 0.9).all()
assert (abs(of_target[~ordered] - 0.5) < 0.2).all()

# %% [markdown]
# **skip-gram의 대답.** $P(\text{context} \mid \text{centre})$의 표는 직접 세어서 만들 수
# 있습니다. 문장에는 쌍이 14개 있습니다. 모델은 이 표를 본 적이 없습니다. 쌍과 네거티브 샘플만
# 보았습니다. 그런데도 표를 배웠습니다.

# %%
counted = np.zeros((V, V))
np.add.at(counted, (centre, context), 1)
counted /= counted.sum(axis=1, keepdims=True)
learned = np.asarray(jax.nn.softmax(skipgram.input @ skipgram.output.T + jnp.log(p_toy)))
print(f"확률의 가장 큰 차이: {abs(learned - counted).max():.3f}")
assert abs(learned - counted).max() < 0.15


def draw(losses, left, right):
    losses.plot(skipgram_losses, label="skip-gram", linewidth=0.8)
    losses.plot(cbow_losses, label="CBOW", linewidth=0.8)
    losses.axhline(chance, color="grey", linestyle=":", label="(1 + K) log 2")
    losses.set(xlabel="step", ylabel="loss", title="loss")
    losses.legend(frameon=False)
    for axes, table, title in ((left, counted, "counted"), (right, learned, "learned")):
        axes.imshow(table, vmin=0, vmax=1, cmap="Blues")
        axes.set_xticks(range(V), words, rotation=60)
        axes.set_yticks(range(V), words)
        axes.set(xlabel="context", ylabel="centre", title=f"P(context | centre), {title}")


picture("toy", draw, columns=3)

# %% [markdown]
# **비슷한 단어.** *goodbye*와 *i*는 똑같은 두 단어 사이에 있습니다. 그래서 skip-gram은 두 단어에
# 같은 방향의 벡터를 줍니다. 이것이 분포 가설의 가장 작은 예입니다. 맥락이 비슷하면 단어도
# 비슷합니다.


# %%
def unit(table):
    """행의 길이를 1로 만듭니다."""
    table = np.asarray(table)
    return table / np.linalg.norm(table, axis=1, keepdims=True)


cosines = unit(skipgram.input) @ unit(skipgram.input).T
goodbye, i = word_to_id["goodbye"], word_to_id["i"]
others = [word for word in words if word not in ("goodbye", "i")]
print(f"goodbye, i: 코사인 유사도 {cosines[goodbye, i]:.3f}")
for word in others:
    print(f"goodbye, {word}: 코사인 유사도 {cosines[goodbye, word_to_id[word]]:.3f}")
assert cosines[goodbye, i] > 0.95
assert cosines[goodbye, i] > max(cosines[goodbye, word_to_id[word]] for word in others)

# %% [markdown]
# ## 10. 실제 말뭉치
#
# *책 4.3.2, d2l 15.3.1*
#
# 두 책 모두 펜 트리뱅크(PTB)를 사용합니다. 월스트리트 저널에서 뽑은 42,068개의 문장입니다. 아래
# 셀은 먼저 `$W2V_JAX_DATA` 폴더를 찾습니다. 이 변수가 없으면 캐시를, 그다음에는 네트워크를
# 찾습니다. 어디에도 없으면 이 패키지에 들어 있는 위키백과 글 67편을 대신 쓰고, 그렇게 했다고
# 알립니다.

# %%
if SMALL:
    source = locate("wiki_sample")
else:
    source = locate("ptb", data_dir=os.environ.get("W2V_JAX_DATA", ""), fallback="wiki_sample")
print(source.note or f"말뭉치는 {source.name}입니다.")
sentences = list(read_lines(source.paths, hashlib.sha256()))
if SMALL:  # 처음 60,000단어, 한 줄에 1,000단어씩
    start = [word for line in sentences for word in line][:60_000]
    sentences = [start[begin : begin + 1_000] for begin in range(0, len(start), 1_000)]

# %% [markdown]
# 5번 미만으로 나오는 단어는 제외합니다. 온갖 단어를 대신하는 `<unk>`도 제외합니다.

# %%
MIN_COUNT = 5
counter = Counter(word for line in sentences for word in line if word != "<unk>")
words = [word for word, count in counter.most_common() if count >= MIN_COUNT]
word_to_id = {word: i for i, word in enumerate(words)}
counts = np.array([counter[word] for word in words])
lines = [np.array([word_to_id[w] for w in s if w in word_to_id], np.int32) for s in sentences]
V = len(words)
print(f"{len(lines):,}줄, 토큰 {counts.sum():,}개, 어휘 {V:,}개; 가장 잦은 단어: {words[:8]}")
assert sum(map(len, lines)) == counts.sum()
assert (np.diff(counts) <= 0).all()

# %% [markdown]
# **서브샘플링** (*d2l 15.3.2 `subsample`, Mikolov 외 2013b 2.3절 식 5*). *the*는 거의 모든 단어의
# 맥락에 나오지만, 어느 단어에 대해서도 알려 주는 것이 적습니다. 빈도가 $f(w)$인 단어는 나올
# 때마다 다음 확률로 남습니다.
#
# $$P(\text{keep } w) = \min\left(1, \sqrt{t / f(w)}\right)$$
#
# 책에는 이 단계가 없습니다.

# %%
rng = np.random.default_rng(0)
T = 1e-3 if SMALL else 1e-4
keep = np.minimum(1, np.sqrt(T * counts.sum() / counts))


def subsample(lines):
    return [line[rng.random(len(line)) < keep[line]] for line in lines]


kept = np.bincount(np.concatenate(subsample(lines)), minlength=V)
print(f"토큰 {counts.sum():,}개 중 {kept.sum():,}개가 남습니다")
print(f"'{words[0]}'는 {counts[0]:,}번에서 {kept[0]:,}번으로 줄어듭니다")
assert kept[0] < 0.5 * counts[0]  # 가장 잦은 단어
assert (kept[keep == 1] == counts[keep == 1]).all()  # 드문 단어는 모두 남습니다

# %% [markdown]
# **단어 쌍** (*d2l 15.3.3*). 중심 단어마다 윈도우 크기를 $1, \dots, W$에서 무작위로 뽑습니다.
# 그래서 가까운 단어가 먼 단어보다 맥락에 더 자주 들어갑니다. 윈도우는 줄의 끝을 넘지 않습니다.
#
# 반복문은 단어가 아니라 거리에 대해 돕니다. 거리가 같은 쌍은 NumPy가 한꺼번에 처리합니다.


# %%
def pairs(lines, window):
    """모든 (중심 단어, 맥락)을 섞은 것: 단어 ID [n]씩"""
    tokens = np.concatenate(lines)
    line = np.repeat(np.arange(len(lines)), [len(one) for one in lines])
    span = rng.integers(1, window + 1, len(tokens))
    found = []
    for distance in range(1, window + 1):
        left, right = np.arange(len(tokens) - distance), np.arange(distance, len(tokens))
        for centre, context in ((left, right), (right, left)):
            used = (line[left] == line[right]) & (span[centre] >= distance)
            found.append((tokens[centre[used]], tokens[context[used]]))
    centres, contexts = map(np.concatenate, zip(*found, strict=True))
    order = rng.permutation(len(centres))
    return centres[order], contexts[order]


toy = sorted(zip(*pairs([corpus], window=1), strict=True))
assert toy == sorted(zip(centre, context, strict=True))  # 8절의 쌍과 같습니다

# %% [markdown]
# ## 11. `train_step`만으로 학습하기
#
# *책 4.3.2, d2l 15.4.2*
#
# 단어 쌍과 네거티브 샘플은 에폭마다 새로 뽑습니다. d2l은 한 번만 뽑고, 새로 뽑으면 무엇이
# 달라지는지를 연습 문제로 냅니다. 마지막 미니배치가 다 차지 않으면 책처럼 버립니다.
#
# 두 책은 손실을 다르게 셉니다. 논문은 $1 + K$개의 오차를 더하지만, d2l은 평균을 냅니다. 그래서
# d2l의 0.410은 여기서 약 6 x 0.410 = 2.46에 해당합니다.

# %%
EPOCHS, BATCH, D, WINDOW = (2, 512, 16, 2) if SMALL else (5, 4096, 100, 5)
optimizer = optax.adam(0.01 if SMALL else 0.005)
p = noise_distribution(jnp.asarray(counts, jnp.float32))
draw_negatives = jax.jit(sample_negatives, static_argnums=2)
key = jax.random.key(9)

params = init(key, V, D)
opt_state, losses, begun = optimizer.init(params), [], time.perf_counter()
for epoch in range(EPOCHS):
    centres, contexts = pairs(subsample(lines), WINDOW)
    for begin in range(0, len(centres) - BATCH + 1, BATCH):
        negatives = draw_negatives(jax.random.fold_in(key, len(losses)), p, (BATCH, K))
        batch = centres[begin : begin + BATCH], contexts[begin : begin + BATCH], negatives
        params, opt_state, value = train_step(params, opt_state, batch, optimizer=optimizer)
        losses.append(value)
    loss = float(jnp.mean(jnp.stack(losses[-(len(centres) // BATCH) :])))
    print(f"에폭 {epoch + 1}: 쌍 {len(centres):,}개, 손실 {loss:.3f}")
losses = np.asarray(jnp.stack(losses))
seconds = time.perf_counter() - begun
print(f"{seconds:.0f}초, 1초에 {EPOCHS * counts.sum() / seconds:,.0f}단어")
assert losses[0] > 0.99 * chance and loss < 0.8 * chance

# %% [markdown]
# ## 12. 비슷한 단어와 유추 문제
#
# *책 4.3.3 (`most_similar`, `analogy`), d2l 15.4.3*
#
# 단어 벡터는 입력 측 가중치의 행입니다. 두 벡터 사이의 각이 작으면 두 단어는 비슷합니다.
#
# $$\cos(a, b) = \frac{a^\top b}{\lVert a \rVert\, \lVert b \rVert}$$


# %%
def most_similar(vectors, word, topn=5):
    """코사인 유사도가 가장 높은 topn개 단어: [(단어, 코사인 유사도)]"""
    near = unit(vectors) @ unit(vectors)[word_to_id[word]]
    near[word_to_id[word]] = -np.inf  # 자기 자신
    return [(words[i], float(near[i])) for i in np.argsort(-near)[:topn]]


def show_neighbours(vectors):
    for word in ("year", "car", "chip", "two", "french", "government", "church"):
        if word in word_to_id:
            near = most_similar(vectors, word)
            print(f"{word:11}", ", ".join(f"{other} {cosine:.2f}" for other, cosine in near))


show_neighbours(params.input)

# %% [markdown]
# 우연은 아닐까요? 수를 나타내는 단어들은 서로 비슷해야 합니다. 이 단어들의 평균 코사인 유사도를
# 무작위로 고른 단어들의 평균과 비교합니다.


# %%
def mean_cosine(vectors, chosen):
    rows = unit(vectors)[chosen]
    return float(np.mean((rows @ rows.T)[np.triu_indices(len(chosen), 1)]))


chosen = "two three four five six seven eight nine"
numbers = [word_to_id[word] for word in chosen.split()]
random_words = rng.choice(np.arange(50, min(V, 3_000)), 200, replace=False)
alike, by_chance = mean_cosine(params.input, numbers), mean_cosine(params.input, random_words)
print(f"평균 코사인 유사도: 수 단어 {alike:.2f}, 무작위 단어 {by_chance:.2f}")
assert alike > by_chance + (0 if SMALL else 0.1)

# %% [markdown]
# 그림: 몇 가지 단어 무리를, 가장 크게 변하는 두 방향(주성분)으로 나타냅니다.

# %%
groups = {
    "numbers": "two three four five six seven eight nine ten",
    "months": "january february march april june july august september october november december",
    "countries": "france germany japan britain canada italy china mexico korea",
    "people": "he she his her him man woman father son",
}


def draw(axes):
    chosen = {name: [w for w in text.split() if w in word_to_id] for name, text in groups.items()}
    every = [w for group in chosen.values() for w in group]
    rows = unit(params.input)[[word_to_id[w] for w in every]]
    left, sizes, _ = np.linalg.svd(rows - rows.mean(axis=0), full_matrices=False)
    positions = dict(zip(every, (left * sizes)[:, :2], strict=True))
    for number, (name, group) in enumerate(chosen.items()):
        for word in group:
            axes.annotate(
                word,
                positions[word],
                (0, 3),
                textcoords="offset points",
                ha="center",
                color=f"C{number}",
                fontsize=8,
            )
        axes.scatter(
            *np.array([positions[w] for w in group]).T, s=6, color=f"C{number}", label=name
        )
    axes.legend(frameon=False, fontsize=8)
    axes.set(xlabel="first component", ylabel="second component")


picture("words", draw)

# %% [markdown]
# **유추 문제.** *a : b = c : ?* 문제에는 벡터 $b - a + c$로 답합니다. 문제에 나온 세 단어는
# 답에서 뺍니다. 나머지 단어의 순위를 매기는 방법은 두 가지입니다.
#
# - $b - a + c$와의 내적: 책의 방법입니다.
# - 모든 벡터의 길이를 1로 만든 뒤의 코사인 유사도: Mikolov, Yih, Zweig (2013)의 방법입니다.
#
# 내적에서는 긴 벡터가 유리합니다. 여기서는 드문 단어의 벡터가 가장 깁니다. 그래서 코사인 유사도의
# 순위가 더 낫습니다.
#
# PTB는 유추 문제를 풀기에는 작아서, 대부분 틀립니다. 그래서 정답 단어가 $V$개 단어 가운데 몇
# 위인지, 그 **순위**를 함께 출력합니다. 1위가 정답입니다. 무작위라면 순위는 $V / 2$쯤입니다.


# %%
def analogy(vectors, a, b, c):
    """'a : b = c : ?'의 답을 좋은 순서로: 단어 ID"""
    a, b, c = (word_to_id[word] for word in (a, b, c))
    offset = vectors[b] - vectors[a] + vectors[c]
    scores = vectors @ (offset / np.linalg.norm(offset))
    scores[[a, b, c]] = -np.inf
    return np.argsort(-scores)


questions = ["king man queen woman", "take took go went", "car cars child children"]
questions += ["good better bad worse", "france french germany german", "he his she her"]

vectors, ranks = np.asarray(params.input), []
print("내적의 순위, 코사인 유사도의 순위, 코사인 유사도가 가장 높은 단어")
for a, b, c, expected in map(str.split, questions):
    if {a, b, c, expected} <= set(words):
        by_dot, by_cosine = analogy(vectors, a, b, c), analogy(unit(vectors), a, b, c)
        rank = [1 + int(np.argmax(best == word_to_id[expected])) for best in (by_dot, by_cosine)]
        ranks.append(rank)
        question = f"{a} : {b} = {c} : {expected}"
        print(f"{question:33} {rank[0]:6,} {rank[1]:6,}   {words[by_cosine[0]]}")
        assert not {word_to_id[a], word_to_id[b], word_to_id[c]} & set(by_cosine[:-3].tolist())

of_dot, of_cosine = np.median(ranks, axis=0)
lengths = np.linalg.norm(vectors, axis=1)
print(f"순위의 중앙값: 내적 {of_dot:,.0f}, 코사인 {of_cosine:,.0f}, 무작위 {V / 2:,.0f}")
frequent_length, rare_length = lengths[:100].mean(), lengths[1_000:].mean()
print(f"벡터의 평균 길이: 잦은 단어 {frequent_length:.1f}, 드문 단어 {rare_length:.1f}")
if not SMALL:
    assert of_cosine < V / 20
    assert of_cosine < of_dot
    assert frequent_length < rare_length

# %% [markdown]
# ## 13. 같은 학습을 한 줄로, 더 빠르게
#
# `core.py`는 읽기 위한 코드입니다. 라이브러리에는 같은 손실을 계산하는 엔진이 `pairs`와 `blocks`
# 두 가지 있습니다. 두 엔진의 결과가 `core.py`와 같은지는 테스트가 확인합니다. `blocks`는 이웃한
# 중심 단어들의 내적을 작은 행렬 곱으로 묶습니다. 따로 지정하지 않으면 `w2v.train`은 `blocks`를
# 씁니다.

# %%
run = w2v.train(sentences, dim=D, window=WINDOW, epochs=EPOCHS, min_count=MIN_COUNT, progress=False)
rate = EPOCHS * len(np.concatenate(lines)) / run.train_sec
print(f"{run.train_sec:.1f}초, 1초에 {rate:,.0f}단어, 손실 {run.loss:.3f}")
for word in ("year", "car", "chip", "two", "french", "government", "church"):
    if word in run.vectors:
        near = run.most_similar(word, topn=5)
        print(f"{word:11}", ", ".join(f"{other} {cosine:.2f}" for other, cosine in near))
best = run.vectors.analogy("he", "his", "she", topn=3)
print("he : his = she :", ", ".join(f"{word} {cosine:.2f}" for word, cosine in best))

assert list(run.vectors.words) == words  # 10절의 어휘와 같습니다
alike = mean_cosine(run.vectors.vectors, numbers)
by_chance = mean_cosine(run.vectors.vectors, random_words)
print(f"평균 코사인 유사도: 수 단어 {alike:.2f}, 무작위 단어 {by_chance:.2f}")
assert alike > by_chance + (0 if SMALL else 0.1)

# %% [markdown]
# ## 14. 지수 다섯 개를 프로그램 하나로
#
# *두 책에는 없는 내용입니다. Mikolov 외 2013b의 2.2절은 3/4이 0이나 1보다 낫다고 보고합니다.*
#
# 아래의 `train`은 **순수 함수**입니다. 난수 키와 지수가 같으면 결과도 같습니다. 그래서
# `jax.vmap`은 여러 지수와 여러 시드의 학습을 프로그램 하나로 실행할 수 있습니다. 함수는 한 줄도
# 고치지 않습니다. `jax.lax.scan`은 스텝을 도는 반복문입니다.
#
# 손실로는 지수들을 비교할 수 없습니다. 지수마다 문제가 다르고, 문제가 쉬우면 손실이 작기
# 때문입니다. 공정한 척도는 6절에 있습니다. $P_n$이 무엇이든
# $\operatorname{softmax}(s + \log P_n)$은 단어의 확률분포입니다. 학습에 쓰지 않은 쌍으로 이
# 분포의 **퍼플렉서티**를 구합니다.
#
# $$\exp\left(-\frac{1}{n} \sum_{i=1}^{n} \log P(\text{context}_i \mid \text{centre}_i)\right)$$
#
# 작을수록 좋습니다. $V$개 단어의 확률이 모두 같은 모델이라면 퍼플렉서티는 $V$입니다.
#
# 시간을 줄이려고 어휘는 자주 나오는 단어로 줄입니다.

# %%
TOP, D, BATCH, STEPS = (300, 8, 256, 40) if SMALL else (2_000, 32, 1024, 3_000)
POWERS, SEEDS, T, WINDOW = jnp.array([0, 0.25, 0.5, 0.75, 1]), 2 if SMALL else 3, 1e-3, 2
optimizer = optax.adam(0.002)

keep = np.minimum(1, np.sqrt(T * counts.sum() / counts))
frequent = [line[line < TOP] for line in lines]
held_out = pairs(subsample(frequent[::10]), WINDOW)
held_out = [x[:5_000] for x in held_out]
training = pairs(subsample([line for i, line in enumerate(frequent) if i % 10]), WINDOW)
enough = BATCH * STEPS
batches = [np.resize(x, enough).reshape(STEPS, BATCH) for x in training]
print(f"학습할 쌍 {len(training[0]):,}개, 한 쌍에 {enough / len(training[0]):.1f}번")
top_counts = jnp.asarray(counts[:TOP], jnp.float32)


def train(key, power):
    """학습 전체 -> 두 가중치, 스텝별 손실 [STEPS]"""
    p = noise_distribution(top_counts, power)
    of_init, of_negatives = jax.random.split(key)
    params = init(of_init, TOP, D)

    def step(state, numbered_batch):
        params, opt_state = state
        number, centres, contexts = numbered_batch
        negatives = sample_negatives(jax.random.fold_in(of_negatives, number), p, (BATCH, K))
        batch = centres, contexts, negatives
        params, opt_state, value = train_step(params, opt_state, batch, optimizer=optimizer)
        return (params, opt_state), value

    start = params, optimizer.init(params)
    (params, _), losses = jax.lax.scan(step, start, (jnp.arange(STEPS), *batches))
    return params, losses


def perplexity(params, power):
    """학습에 쓰지 않은 쌍의, softmax(s + log Pn)에 따른 퍼플렉서티"""
    centres, contexts = held_out
    scores = embed(params.input, centres) @ params.output.T
    log_p = jax.nn.log_softmax(scores + jnp.log(noise_distribution(top_counts, power)))
    return jnp.exp(-jnp.mean(log_p[jnp.arange(len(contexts)), contexts]))


over_seeds = jax.vmap(train, in_axes=(0, None))  # 키는 여럿, 지수는 하나
over_both = jax.jit(jax.vmap(over_seeds, in_axes=(None, 0)))  # 이제 지수도 여럿
keys = jax.random.split(jax.random.key(10), SEEDS)
begun = time.perf_counter()
tables, losses = jax.block_until_ready(over_both(keys, POWERS))
seconds = time.perf_counter() - begun
trainings = len(POWERS) * SEEDS
print(f"{STEPS:,}스텝의 학습 {trainings}개를 {seconds:.0f}초에: 프로그램 하나")
assert tables.input.shape == (len(POWERS), SEEDS, TOP, D)
assert losses.shape == (len(POWERS), SEEDS, STEPS)

# %% [markdown]
# 그 가운데 한 학습만 따로 실행해도, 반올림 오차를 빼면 같은 값이 나옵니다.

# %%
_, alone = jax.jit(train)(keys[1], POWERS[3])
print(f"스텝별 손실의 가장 큰 차이: {abs(alone - losses[3, 1]).max():.1e}")
np.testing.assert_allclose(alone, losses[3, 1], rtol=1e-3)

# %%
measured = jax.lax.map(
    lambda one: jax.vmap(perplexity, in_axes=(0, None))(*one), (tables, POWERS)
)  # [지수, 시드]
context_counts = np.bincount(training[1], minlength=TOP) + 1
without_centre = np.exp(-np.mean(np.log(context_counts / context_counts.sum())[held_out[1]]))
print(f"중심 단어를 보지 않을 때의 퍼플렉서티 {without_centre:,.0f}")
final_losses = losses[:, :, -STEPS // 10 :].mean(axis=(1, 2))
for power, loss, of_seeds in zip(POWERS, final_losses, measured.tolist(), strict=True):
    shown = ", ".join(f"{one:.1f}" for one in of_seeds)
    print(f"지수 {power:4}  손실 {loss:.3f}  퍼플렉서티 {shown}")
if not SMALL:
    mean = measured.mean(axis=1)
    assert mean.max() < without_centre
    assert mean[3] < mean[0]  # 0.75가 0보다 낫고
    assert mean[3] < mean[4]  # 1보다도 낫습니다


def draw(left, right):
    width = max(STEPS // 30, 1)
    for power, of_power in zip(POWERS, losses.mean(axis=1), strict=True):
        smooth = np.convolve(of_power, np.ones(width) / width, "valid")
        left.plot(smooth, label=f"power {power:g}", linewidth=1)
    left.set(xlabel="step", ylabel="loss", title="losses: other questions, no comparison")
    left.legend(frameon=False, fontsize=8)
    right.plot(POWERS, measured.mean(axis=1), color="grey", linewidth=1)
    for of_seed in measured.T:
        right.plot(POWERS, of_seed, "o", markersize=4)
    right.set(xlabel="noise power", ylabel="perplexity", title="held-out pairs: a point a seed")
    right.set_xticks(POWERS)


picture("noise_powers", draw, columns=2)

# %% [markdown]
# PTB에서 다섯 지수의 퍼플렉서티는 차례로 733, 709, 692, 687, 707이었습니다(시드 세 개의 평균이며,
# 시드 사이의 차이는 7 이하입니다). 위키백과 글에서는 0.5와 0.75가 비슷했고, 둘 다 0이나 1보다
# 나았습니다.
#
# 6절의 최적점에 이르면 어느 지수든 같은 $P$가 나옵니다. 학습은 그보다 훨씬 먼저 끝납니다.
# 그때까지 어떤 점수가 먼저 맞게 되는지를 지수가 정합니다.
#
# 지수는 배열이므로, 더 촘촘하게 나누어도 코드는 늘지 않습니다. 학습률도 같은 방법으로 바꿔 볼 수
# 있습니다. 라이브러리에는 두 가지가 모두 있습니다. `w2v.make_train`은 빠른 엔진을 쓰는 순수
# 함수를 만들고, `w2v.sweep`은 여러 설정을 시드마다 학습해 비교합니다.

# %% [markdown]
# ## 15. 두 책과 이 파일의 대응표
#
# | 책 | 절 | 여기 |
# | --- | --- | --- |
# | `preprocess` | 2.3.1 | 1절 |
# | `most_similar` | 2.3.6 | `most_similar`, 12절; `run.most_similar` |
# | `create_contexts_target` | 3.3.1 | `contexts`와 `target`, 8절 |
# | `convert_one_hot` | 3.3.2 | 필요 없음: `embed`가 단어 ID를 받음 |
# | `Embedding` | 4.1 | `embed` |
# | `EmbeddingDot` | 4.2.4 | `embed`로 꺼낸 행의 `score` |
# | `SigmoidWithLoss` | 4.2.3 | `negative_sampling_loss` 안의 `jax.nn.log_sigmoid` |
# | `UnigramSampler` | 4.2.6 | `noise_distribution`과 `sample_negatives` |
# | `NegativeSamplingLoss` | 4.2.7 | `negative_sampling_loss` |
# | `CBOW`, `SkipGram` | 4.3.1 | `cbow_loss`, `skipgram_loss` |
# | 모든 `backward` | | `train_step` 안의 `jax.value_and_grad` |
# | `Adam`, `Trainer` | 4.3.2 | `optax.adam`, `train_step` |
# | `analogy` | 4.3.3 | `analogy`, 12절; `run.vectors.analogy` |
#
# | d2l | 절 | 여기 |
# | --- | --- | --- |
# | `read_ptb`, `Vocab` | 15.3.1 | 10절 |
# | `subsample` | 15.3.2 | `subsample`, 10절 |
# | `get_centers_and_contexts` | 15.3.3 | `pairs`, 10절 |
# | `RandomGenerator` | 15.3.4 | `sample_negatives` 안의 `jax.random.choice` |
# | `get_negatives` | 15.3.4 | `sample_negatives`, 스텝마다 새로 |
# | `batchify` | 15.3.5 | 필요 없음: 데이터 하나가 쌍 하나 |
# | `nn.Embedding` | 15.4.1 | `embed` |
# | `skip_gram` | 15.4.1 | `score`, `bmm` 대신 `jax.vmap` |
# | `SigmoidBCELoss` | 15.4.2 | `negative_sampling_loss` |
# | `train` | 15.4.2 | `train_step`, 11절 |
# | `get_similar_tokens` | 15.4.3 | `most_similar`, 12절 |
