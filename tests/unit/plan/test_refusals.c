/* Every contradiction is refused, in words. */
#include "texts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define IDX "data.kind=idx data.split.kind=predefined data.split.by=file "
#define SEQ                                                                              \
  "data.kind=answers data.split.kind=random model.kind=dkt model.loss=bce model.n_in=5 " \
  "model.n_out=1 model.hidden=9 "
#define UNITS "privacy.unit=record privacy.clip=1 local.sample_rate=0.1 local.steps=5 "
#define SIM "sim.data=x sim.columns.user=1 sim.columns.item=2 sim.columns.time=5 "

static const char gram_base[] = "name: noised\n"
                                "data: {kind: interactions}\n"
                                "model: {kind: recommender}\n"
                                "stages:\n"
                                "  - {name: gram, kind: statistic}\n";
static const char stages_base[] = "name: staged\n"
                                  "data: {kind: interactions}\n"
                                  "model: {kind: recommender}\n"
                                  "stages:\n"
                                  "  - {name: gram, kind: statistic}\n"
                                  "  - {name: rows, kind: rows, fed: {rounds: 3}}\n"
                                  "  - {kind: evaluate}\n";

static const char map_base[] = "name: cold\n"
                               "data: {kind: interactions, split: {kind: predefined, by: file}}\n"
                               "model: {kind: recommender}\n"
                               "stages:\n"
                               "  - {name: map, kind: statistic, statistic: {of: map}}\n";
#define MAP_SIM \
  "sim.data=x sim.columns.user=1 sim.columns.item=2 sim.clients.by=user sim.clients.files=a,b,c "

static const char meta_base[] =
    "name: meta\n"
    "data: {kind: table, split: {kind: random}}\n"
    "model: {kind: sine-mlp, loss: mse, n_in: 1, n_out: 1}\n"
    "stages:\n"
    "  - {fed: {algorithm: maml, rounds: 3}, local: {meta: {lr: 0.1}}}\n"
    "sim: {clients: {by: sinusoid, n: 3}}\n";

static const struct {
  const char *text, *sets, *says;
} refusals[] = {
    {meta_base, "local.meta.lr=0", "local.meta.lr: the rate of inner steps is missing"},
    {meta_base, "local.schedule.kind=cosine",
     "local.schedule: is not followed by fed.algorithm maml; write fed.schedule"},
    {meta_base, "local.meta.hessian=none", "maml without the Hessian is fomaml"},
    {meta_base, "fed.algorithm=fomaml local.meta.hessian=exact", "write fed.algorithm: maml"},
    {meta_base, "fed.algorithm=perfedavg local.optimizer.lr=1",
     "local.steps: perfedavg counts the meta-steps"},
    {meta_base, "fed.algorithm=perfedavg local.steps=2", "local.optimizer.lr: is missing"},
    {meta_base, "arms=alone,federated", "the arm alone trains by it"},
    {meta_base, "fed.algorithm=fedavg local.optimizer.lr=1 eval.metrics=rmse",
     "fedavg has no inner loop and no metric adapts"},
    {meta_base,
     "fed.algorithm=fedavg local.optimizer.lr=1 local.meta.lr=0 eval.metrics=rmse@adapt2",
     "local.meta.lr: the rate of inner steps is missing"},
    {meta_base, "eval.metrics=rmse@adapt", "@adapt takes 1 to 1000 steps"},
    {meta_base, "eval.metrics=rmse@adapt01", "@adapt takes 1 to 1000 steps"},
    {meta_base, "eval.metrics=rmse@adapt1001", "@adapt takes 1 to 1000 steps"},
    {meta_base, "eval.metrics=rmse@5", "takes no list length"},
    {meta_base, "sim.data=x", "sim.data: sinusoids are generated"},
    {meta_base, "sim.clients.n=0", "sim.clients.n: how many clients"},
    {meta_base, "data.split.kind=predefined data.split.by=file sim.split=x",
     "sinusoid makes tables"},
    {meta_base, "data.table.scale=silo", "data.table.scale: sinusoids are generated as they are"},
    {meta_base, "model.kind=mlp model.hidden=3 model.n_in=2", "sinusoid needs model.n_in: 1"},
    {meta_base,
     "sim.clients.by=file sim.clients.n=0 sim.data=x sim.clients.files=a sim.clients.rows=2",
     "sim.clients.rows: has no effect"},
    {base, "fed.algorithm=maml local.meta.lr=1", "write reptile, which needs neither"},
    {base, "eval.metrics=auc@adapt2", "adapts to samples of a table or images"},
    {base, "eval.metrics=hr@adapt2", "lists of items are not adapted"},
    {base, "local.meta.lr=1", "fedavg has no inner loop and no metric adapts"},
    {map_base, MAP_SIM, "sim.clients.common: below which number"},
    {map_base, MAP_SIM "sim.clients.common=9 sim.clients.files=a,b", "by user needs three files"},
    {map_base, MAP_SIM "sim.clients.common=9 sim.columns.item=3", "from columns 1 and 2"},
    {map_base, MAP_SIM "sim.clients.by=file", "user belongs to a stage with statistic.of map"},
    {map_base, "data.split.kind=random", "map is the plan's only stage, and its split is given"},
    {map_base, "privacy.unit=user privacy.noise_multiplier=1 privacy.clip=1 fed.weighting=uniform",
     "with noise only gram and categories have a bound"},
    {gram_base, SIM "sim.clients.by=user sim.clients.files=a,b,c sim.clients.common=9",
     "user belongs to a stage with statistic.of map"},
    {base, SIM "sim.clients.by=file sim.clients.files=a sim.clients.common=9",
     "sim.clients.common: 9 has no effect"},
    {base, "fed.cohort=0.5 fed.cohort_count=3", "cohort 0.5 and cohort_count 3 are both given"},
    {base, "fed.quorum=0.5 fed.quorum_count=3", "quorum 0.5 and quorum_count 3 are both given"},
    {base, "fed.cohort_count=3 fed.quorum_count=4",
     "4 answers can never come from a cohort_count of 3"},
    {base, "fed.cohort_count=3 fed.min_domains=4", "4 domains can never be in a cohort_count of 3"},
    {base, "fed.over_select=1.5", "cohort 1 selects every member already"},
    {base, "fed.weighting=capped", "fed.weight_cap: weighting capped needs it"},
    {base, "fed.weight_cap=5", "fed.weight_cap: 5 has no effect"},
    {base, "local.epochs=1 local.steps=5", "epochs 1 and steps 5 are both given"},
    {base, "local.optimizer.sparse=lazy", "lazy belongs to kind adam, and it is sgd"},
    {base, "local.optimizer.weight_decay=0.1",
     "belongs to kind adamw, and it is sgd; write local.l2"},
    {base, "fed.algorithm=reptile", "write weighting: uniform"},
    {base, "fed.algorithm=reptile fed.weighting=uniform local.steps=1", "write steps: 2 or more"},
    {base, "fed.algorithm=reptile fed.weighting=uniform local.batch=0", "write steps: 2 or more"},
    {base, "fed.algorithm=reptile fed.weighting=uniform fed.server.kind=momentum",
     "reptile moves by epsilon (fed.server.lr) alone"},
    {base, "local.schedule.kind=step local.schedule.factor=0.5",
     "local.schedule.every: kind step needs it"},
    {base, "local.schedule.kind=step local.schedule.every=5",
     "local.schedule.factor: kind step needs it, above 0"},
    {base, "fed.schedule.kind=exponential", "fed.schedule.factor: kind exponential needs it"},
    {base, "fed.schedule.kind=inverse", "fed.schedule.factor: kind inverse needs it"},
    {base, "local.schedule.kind=cosine local.schedule.factor=0.5",
     "factor: 0.5 has no effect with kind cosine; write step, exponential or inverse"},
    {base, "local.schedule.kind=cosine local.schedule.every=5",
     "every: 5 has no effect with kind cosine; write kind: step"},
    {base, "local.schedule.floor=0.1",
     "floor: 0.1 has no effect with kind constant; write linear or cosine"},
    {base, "fed.rounds=4 local.schedule.warmup=4",
     "local.schedule.warmup: 4 commits of a stage whose fed.rounds is 4; write fewer"},
    {base, "fed.server.anneal=linear fed.schedule.kind=cosine",
     "fed.server.anneal: and fed.schedule are both given; leave anneal out"},
    {base, "local.schedule.kind=sigmoid", "is none of: constant, linear, cosine, step"},
    {base, "privacy.noise_multiplier=1", "privacy.clip: noise_multiplier 1 is measured in clips"},
    {base, "privacy.noise_multiplier=1 privacy.clip=1", "fed.weighting: with noise"},
    {base, "privacy.noise_multiplier=1 privacy.clip=1 fed.weighting=uniform early_stop.patience=2",
     "early_stop: needs metrics, which silos do not send with noise"},
    {base, "privacy.secure_aggregation=true", "secure aggregation is not in this version"},
    {base, "privacy.secure_aggregation=true model.users=aligned", "secure aggregation"},
    {base, "rows.clip_row=1", "rows.clip_row: no rows are exchanged"},
    {base, "data.kind=answers", "mf does not learn from sequences, and data.kind is answers"},
    {base, "data.kind=table data.split.kind=random model.kind=dkt",
     "dkt learns from answers, and data.kind is table"},
    {base, SEQ "data.kind=text", "dkt learns from answers, and data.kind is text"},
    {base, SEQ "model.loss=mse", "dkt takes bce, not mse"},
    {base, SEQ "model.n_out=2", "dkt needs n_in, the number of skills, and n_out: 1"},
    {base, SEQ "model.kind=char-gru data.kind=text model.loss=softmax",
     "reads and writes 96 letters"},
    {base, SEQ "data.split.kind=leave-one-out", "leave-one-out needs users with events"},
    {base, SEQ "sim.data=x sim.clients.by=file sim.clients.files=a",
     "students are dealt at random; write uniform and n"},
    {base, SEQ "sim.data=x sim.clients.by=uniform sim.clients.n=2 sim.split=a,b",
     "names the files of data.split.kind predefined"},
    {base, "model.kind=neumf model.loss=mse", "neumf takes bce or bpr, not mse"},
    {base, "model.kind=neumf model.loss=bce model.hidden=9", "neumf needs at least two widths"},
    {base, "model.kind=neumf model.loss=bce model.users=aligned",
     "neumf keeps users and items in the silo"},
    {base, "model.kind=neumf data.kind=table data.split.kind=random",
     "neumf learns from users and items, and data.kind is table"},
    {base, "data.kind=table", "mf learns from users and items, and data.kind is table"},
    {base, "model.loss=softmax", "mf takes bpr, bce or mse, not softmax"},
    {base, "model.n_in=5", "mf takes its sizes from the data"},
    {base, "model.hidden=5", "mf takes its sizes from the data"},
    {base, "model.users=aligned model.items=aligned model.item_ns=user",
     "\"user\" is also model.item_ns"},
    {base, "model.kind=mlp", "mlp learns from a table or images, and data.kind is interactions"},
    {base, "data.split.kind=random data.split.test_fraction=0", "leaves nothing to test on"},
    {base, "data.split.kind=random data.split.test_fraction=0.6 data.split.valid_fraction=0.4",
     "leave nothing to train on"},
    {base, "data.split.kind=predefined", "write by: file"},
    {base, "data.split.kind=predefined data.split.by=file", "predefined split of interactions"},
    {base, "data.table.binary=true", "belongs to data.kind table, and it is interactions"},
    {table_base, "data.split.kind=leave-one-out", "leave-one-out needs users with events"},
    {table_base, "model.users=aligned", "mlp has no users and items"},
    {table_base, "model.n_in=0", "mlp needs n_in and n_out"},
    {table_base, "model.loss=bpr", "bpr ranks items"},
    {table_base, "model.n_out=1", "softmax needs at least 2 outputs"},
    {table_base, "model.loss=bce", "bce takes 1 output, not 3"},
    {table_base, "model.kind=logreg", "logreg has no hidden layers"},
    {table_base, "model.kind=logreg model.loss=mse", "logreg takes bce or softmax, not mse"},
    {table_base, "model.hidden=", "an mlp needs at least one hidden layer"},
    {table_base, "data.table.one_hot=[\"3\"]", "write column:value,value"},
    {table_base, "data.table.one_hot=[\"3:1\"]", "at least two values"},
    {table_base, "data.table.one_hot=[\"3:1,1\"]", "1 is given twice"},
    {table_base, "data.table.one_hot=[\"3:1,x\"]", "\"x\" is not a number"},
    {table_base, "data.table.one_hot=[\"3:1,2\",\"3:1,2\"]", "column 3 is given twice"},
    {table_base, "data.table.one_hot=[\"3:1,2\"] data.table.label=3", "column 3 is the label"},
    {table_base, "data.table.one_hot=[\"3:1,2\"] data.table.drop=3", "also in data.table.drop"},
    {table_base, "data.table.drop=3,3", "column 3 is given twice"},
    {table_base, "data.table.drop=3 data.table.label=3", "column 3 is the label"},
    {table_base, IDX "data.table.drop=3", "belongs to data.kind table, and it is idx"},
    {base, "eval.metrics=ndgc@10", "did you mean \"ndcg\"?"},
    {base, "eval.metrics=ndcg", "needs a list length, e.g. \"ndcg@10\""},
    {base, "eval.metrics=ndcg@0", "the list length is 1 to 1000"},
    {base, "eval.metrics=mrr@5", "takes no list length; write \"mrr\""},
    {base, "eval.metrics=mrr,mrr", "mrr is given twice"},
    {base, "eval.metrics=acc", "acc needs a table or images"},
    {base, "eval.metrics=rmse", "rmse needs model.loss mse"},
    {table_base, "eval.metrics=hr@10", "hr@10 ranks items and needs data.kind interactions"},
    {table_base, "eval.metrics=auc", "auc needs interactions, or model.loss bce"},
    {table_base, "eval.protocol=full", "no metric ranks; leave it out"},
    {base, "eval.protocol=x9", "unknown protocol \"x9\""},
    {base, "eval.protocol=s0", "unknown protocol \"s0\""},
    {base, "eval.protocol=full,full", "full is given twice"},
    {base, "early_stop.patience=2 early_stop.metric=mrr", "mrr is not in eval.metrics"},
    {base, "early_stop.patience=2 eval.every=0", "nothing is evaluated before the end"},
    {table_base, "early_stop.patience=2 eval.every=1 data.split.valid_fraction=0",
     "early_stop: judges the validation part, and data.split.valid_fraction is 0"},
    {base, "eval.train=true", "eval.train: rankings leave out the items that were learned from"},
    {base, "arms=", "arms: nothing is computed"},
    {base, "arms=alone,alone", "alone is given twice"},
    {base, "arms=guarded,federated", "guarded chooses between alone and federated; list both"},
    {table_base, "arms=popularity", "popularity ranks items"},
    {base, SIM, "domain needs interactions and sim.columns.domain"},
    {base, "sim.data=x", "user and item are missing"},
    {base, "sim.data=x sim.columns.user=1 sim.columns.item=1", "user and item are both column 1"},
    {base, SIM "sim.columns.domain=3 sim.columns.time=0", "without times write by: file"},
    {base, SIM "model.loss=mse", "sim.columns.value: model.loss mse learns values"},
    {base, SIM "data.min_value=4", "sim.columns.value: data.min_value needs it"},
    {base, SIM "sim.clients.by=uniform", "how many clients"},
    {base, SIM "sim.columns.domain=3 sim.clients.n=4", "4 has no effect"},
    {base, SIM "sim.clients.by=shards sim.clients.n=4", "shards and dirichlet deal labels"},
    {base, SIM "sim.clients.by=column", "sim.clients.by column needs it"},
    {base, SIM "sim.clients.by=file", "the files of sim.clients.by file"},
    {base, SIM "sim.columns.domain=3 sim.clients.files=a", "the files of sim.clients.by file"},
    {base, SIM "sim.clients.by=uniform sim.clients.n=3 sim.clients.only=a",
     "no number of a client"},
    {base, SIM "sim.clients.by=uniform sim.clients.n=3 sim.clients.only=0", "\"0\" is no number"},
    {base, SIM "sim.clients.by=uniform sim.clients.n=3 sim.clients.only=2-4", "such as 1-3"},
    {base, SIM "sim.clients.by=uniform sim.clients.n=3 sim.clients.only=3-2", "sim.clients.n is 3"},
    {base, SIM "sim.clients.by=uniform sim.clients.n=3 sim.clients.only=1-", "no range of them"},
    {base, SIM "sim.clients.by=file sim.clients.files=a sim.clients.only=a", "gives none of them"},
    {base, SIM "sim.columns.domain=3 sim.kg.triples=x", "only model.kind recommender decides with"},
    {base, SIM "sim.columns.domain=3 sim.kg.items=x", "sim.kg.items is of no use without"},
    {base, SIM "sim.columns.domain=3 sim.kg.relations=x", "sim.kg.relations is of no use without"},
    {base, SIM "sim.columns.domain=3 sim.clients.name=silo", "and one {}"},
    {base, SIM "sim.columns.domain=3 sim.clients.name={}{}", "and one {}"},
    {table_base, "sim.data=x sim.split=y sim.clients.by=uniform sim.clients.n=2",
     "sim.split: names the file of data.split.kind predefined"},
    {base, SIM "sim.columns.domain=3 sim.clients.only=a,b model.users=aligned",
     "no row has 3 holders in two domains; write 2"},
    {base, SIM "sim.columns.domain=3 sim.clients.only=a,b fed.min_domains=3",
     "fed.min_domains: 3, and there are 2 domains"},
    /* stages of a recommender */
    {base, "stages[0].kind=rows", "rows feeds the recommender's scorers"},
    {base, "stages[0].learns=scorer", "scorer belongs to a train stage of model.kind recommender"},
    {base, "stages[0].name=a-stage-with-a-name-of-more-than-31", "is longer than 31 characters"},
    {stages_base, "stages[0].fed.rounds=2", "a statistic is summed once, not 2 times"},
    {gram_base,
     "stages[0].fed.encoding=sparse privacy.noise_multiplier=1 privacy.unit=user "
     "stages[0].statistic.beta=1",
     "with noise nothing is"},
    {base, "fed.encoding=sparse", "only a statistic has zeros"},
    {stages_base, "stages[0].statistic.beta=0.3", "statistic.beta: 0.3; write 0, 0.5 or 1"},
    {stages_base, "stages[0].fed.weighting=capped stages[0].fed.weight_cap=3",
     "each silo counts once"},
    {stages_base, "stages[0].fed.server.lr=0.5", "takes the plain sum or mean"},
    {stages_base, "stages[1].rows.others=0.1", "weighs sums; write rows.rule: sums"},
    {stages_base, "stages[1].rows.rule=sums stages[1].rows.dim=200",
     "a user's row is 20301 numbers, 81204 bytes, in every round at dim 200; write at most 128"},
    {stages_base, "stages[1].rows.rule=sums stages[1].rows.dim=8 stages[1].rows.clip_row=1",
     "rows.clip_row: a clipped sum is no sum of anything"},
    {stages_base, "stages[1].rows.rule=sums stages[1].rows.dim=8 privacy.clip=1",
     "privacy.clip: a clipped sum is no sum of anything"},
    {stages_base, "stages[0].rows.rule=sums", "sums belongs to a stage of kind rows"},
    {base, "model.users=aligned rows.rule=sums", "sums belongs to a stage of kind rows"},
    {stages_base, "stages[1].name=gram", "\"gram\" is the name of another stage"},
    {stages_base, "stages[1].name=", "stages[1].name: is missing"},
    {stages_base, "stages[1].in=later", "\"later\" is no stage before this one"},
    {stages_base, "stages[2].in=rows stages[1].in=rows", "\"rows\" is no stage before this one"},
    {stages_base, "stages[1].rows.inner=100", "100 rounds without split A, and fed.rounds is"},
    {stages_base, "stages[0].rows.inner=1", "rows.inner: belongs to a stage of kind rows"},
    {stages_base, "model.user_ns=item", "need namespaces of their own"},
    {stages_base, "stages[2].fed.rounds=1", "an evaluation commits no model"},
    {stages_base, "stages[1].kind=train stages[1].local.optimizer.lr=0.1",
     "a recommender has no model of its own to train; write scorer"},
    {stages_base, "data.kind=table", "recommender learns from interactions"},
    {stages_base, "model.loss=mse", "mse belongs to a network"},
    {stages_base, "privacy.noise_multiplier=1 privacy.clip=1", "no plan can do both"},
    {gram_base, "privacy.noise_multiplier=1", "write unit: user"},
    {gram_base, "privacy.noise_multiplier=1 privacy.unit=user", "only 1 bounds what one user adds"},
    {gram_base,
     "privacy.noise_multiplier=1 privacy.unit=user stages[0].statistic.of=counts "
     "stages[0].statistic.beta=1",
     "with noise only gram and categories have a bound"},
    {gram_base,
     "privacy.noise_multiplier=1 privacy.unit=user stages[0].statistic.of=categories "
     "stages[0].statistic.beta=0.5",
     "only 1 bounds what one user adds"},
    {gram_base, "stages[0].statistic.of=categories model.item_ns=category",
     "model.item_ns: \"category\" is the namespace of the categories"},
    {gram_base, "stages[0].statistic.of=categories model.user_ns=category",
     "model.user_ns: \"category\" is the namespace of the categories"},
    {gram_base, SIM "sim.columns.domain=3 stages[0].statistic.of=categories",
     "sim.categories: is missing"},
    {gram_base, SIM "sim.columns.domain=3 sim.categories=x", "no stage sums over them"},
    /* words of later versions, ranges and shapes come from the schema */
    {table_base, "fed.algorithm=fednova local.optimizer.kind=adam",
     "local.optimizer.kind: fed.algorithm fednova knows what steps of sgd and momentum weigh"},
    {table_base, "fed.algorithm=fednova local.optimizer.kind=momentum local.prox=0.1",
     "write local.optimizer.kind: sgd, or leave prox out"},
    {table_base, "fed.algorithm=fednova local.prox=10", "local.prox: 10 times local.optimizer.lr"},
    {table_base, "fed.algorithm=fednova fed.server.kind=yogi",
     "fed.server.kind: fed.algorithm "
     "fednova moves the model by"},
    {table_base, "fed.algorithm=fednova privacy.clip=1", "leave privacy out"},
    {base, "fed.algorithm=fednova model.users=aligned", "model.users: rows of aligned users"},
    {base, "fed.algorithm=scaffold model.users=aligned", "model.users: rows of aligned users"},
    {table_base, "fed.algorithm=scaffold local.optimizer.kind=momentum",
     "local.optimizer.kind: fed.algorithm scaffold takes a silo's mean gradient from its plain "
     "steps, and momentum takes others; write kind: sgd, or algorithm: fedavg"},
    {table_base, "fed.algorithm=scaffold fed.server.kind=adam",
     "fed.server.kind: fed.algorithm "
     "scaffold moves the model by"},
    {table_base, "fed.algorithm=scaffold privacy.clip=1", "leave privacy out"},
    {table_base,
     "fed.algorithm=scaffold fed.weighting=uniform privacy.clip=1 privacy.noise_multiplier=1",
     "write algorithm: fedavg"},
    {table_base, "fed.algorithm=scaffold local.batch=9 " UNITS, "leave privacy out"},
    {table_base, "fed.algorithm=scaffold local.prox=0.1",
     "local.prox: belongs to algorithm fedprox, and it is scaffold"},
    {stages_base,
     "stages[2].kind=train stages[2].name=s stages[2].learns=scorer "
     "stages[2].in=gram stages[2].fed.rounds=2 stages[2].local.optimizer.lr=1 "
     "stages[2].fed.algorithm=scaffold",
     "a recommender's scorer is trained with fedavg"},
    {base, "stages[0].kind=align", "\"align\" is not in this version; there are: train"},
    {base, "fed.algorithm=fedprox", "local.prox: fedprox needs it, above 0"},
    {base, "local.personal.lambda=1",
     "local.personal.lambda: has no effect with fed.algorithm fedavg; leave it out, or write "
     "fed.algorithm: ditto or pfedme"},
    {base, "fed.algorithm=fedrep", "local.personal.head_epochs: fed.algorithm fedrep needs it"},
    {base, "fed.algorithm=pfedme local.personal.lambda=15",
     "local.personal.lr: fed.algorithm pfedme needs it, above 0"},
    {base, "fed.algorithm=apfl local.optimizer.kind=adam",
     "local.optimizer.kind: the steps of fed.algorithm apfl are plain SGD; write kind: sgd"},
    {base,
     "fed.algorithm=pfedme local.personal.lambda=15 local.personal.lr=0.1 fed.server.kind=adam "
     "local.optimizer.kind=sgd",
     "fed.server.kind: fed.algorithm pfedme mixes by beta, which is fed.server.lr"},
    {table_base, UNITS "fed.algorithm=fedper", "fedper takes several for each; write fedavg"},
    {table_base, "fed.algorithm=fedper local.meta.lr=0.1 eval.metrics=acc@adapt5",
     "eval.metrics: @adapt measures steps from a start that all share"},
    {base, "local.prox=0.1", "local.prox: belongs to algorithm fedprox, and it is fedavg"},
    {base, "fed.server.kind=adagrad fed.server.bias_correction=true", "kinds adam and yogi"},
    {base, "fed.edge_rounds=3 fed.rounds=8", "fed.edge_rounds: 3 does not divide fed.rounds 8"},
    {base, "fed.edge_rounds=2 fed.rounds=8 fed.server.lr=0.5", "edges and cloud take plain means"},
    {base, "fed.edge_rounds=2 fed.rounds=8 fed.algorithm=reptile fed.weighting=uniform",
     "fed.algorithm is reptile; write fedavg or fedprox"},
    {stages_base, "stages[1].fed.edge_rounds=3", "belongs to a plan of one train stage"},
    {base, "fed.select.candidates=3",
     "fed.select.candidates: 3 has no effect with policy stratified; leave it out, or write "
     "policy: "
     "power-of-choice"},
    {base, "fed.select.policy=power-of-choice fed.select.clip=0.5", "write policy: oort"},
    {base, "fed.select.policy=oort fed.select.candidates=3", "no effect with policy oort"},
    {base, "fed.select.policy=weighted", "write weighting: uniform, or policy: stratified"},
    {base, "fed.select.policy=oort fed.select.explore=0.2", "fed.select.explore_min: 0.3 is above"},
    {base, "fed.select.policy=oort fed.select.pacer_window=9", "write a quantile below 1"},
    {base, "fed.select.policy=power-of-choice fed.cohort_count=4 fed.select.candidates=3",
     "fed.select.candidates: 3 are fewer than fed.cohort_count 4"},
    {base, "fed.select.policy=oort fed.weighting=uniform privacy.noise_multiplier=1 privacy.clip=1",
     "fed.select.policy: oort chooses by losses, which silos do not send with "
     "privacy.noise_multiplier 1; write policy: stratified or uniform"},
    {base,
     "fed.select.policy=weighted fed.weighting=uniform privacy.noise_multiplier=1 privacy.clip=1",
     "weighted chooses by numbers of samples, which silos do not send"},
    {base, "fed.select.policy=power-of-choice privacy.secure_aggregation=true",
     "privacy.secure_aggregation hides; write policy: stratified or uniform"},
    {stages_base, "stages[1].fed.select.policy=oort", "this stage's kind is rows"},
    {base, "fed.server.momentum=0.5", "fed.server.momentum: 0.5 has no effect with kind sgd"},
    {base, "fed.server.kind=adam fed.server.momentum=0", "write kind: momentum or nesterov"},
    {base, "fed.server.kind=momentum fed.server.b2=0.5",
     "b2: 0.5 has no effect with kind momentum"},
    {base, "fed.server.kind=adagrad fed.server.b1=0.5", "b1: 0.5 has no effect with kind adagrad"},
    {base, "fed.server.tau=0.5", "fed.server.tau: 0.5 has no effect with kind sgd"},
    {base, "fed.server.kind=nesterov fed.server.v0=0", "v0: 0 has no effect with kind nesterov"},
    {base, "model.users=aligned fed.server.kind=adam",
     "fed.server.kind: rows.rule pull takes a silo's own row out"},
    {base, "model.users=aligned fed.server.lr=0.5", "fed.server.lr: rows.rule pull"},
    {base, "model.items=aligned fed.server.anneal=linear", "or write rows.rule: average"},
    {base, "model.users=aligned fed.schedule.kind=linear", "fed.schedule: rows.rule pull"},
    {base, "model.users=aligned fed.rounds=4 fed.schedule.warmup=2",
     "fed.schedule: rows.rule pull"},
    {base, "fed.encoding=int8", "\"int8\" is not in this version"},
    {base, "privacy.unit=user", "user is what noise on statistics hides"},
    /* training that is private per unit */
    {base, "privacy.unit=record", "rows of single users, which no clipped sum hides"},
    {table_base, "privacy.unit=record privacy.clip=1 local.sample_rate=0.1", "write local.steps"},
    {table_base, "privacy.unit=record privacy.clip=1 local.steps=5", "local.sample_rate: with"},
    {table_base, UNITS "fed.algorithm=fomaml local.meta.lr=0.1 fed.weighting=uniform",
     "and fomaml takes several for each"},
    {table_base, UNITS "local.batch=0", "local.batch: with privacy.unit"},
    {table_base, UNITS "local.l2=0.1", "kind: adamw"},
    {table_base, UNITS "privacy.clip=0", "bound each unit's gradient"},
    {table_base, UNITS "data.table.scale=silo", "each record moves the inputs of all others"},
    {table_base, UNITS "privacy.unit=user", "a table does not say which records are one user's"},
    {table_base, UNITS IDX "model.kind=conv4 model.hidden=", "the batch norm of conv4 mixes"},
    {table_base, UNITS IDX "privacy.unit=user", "a set of images does not say"},
    {table_base, UNITS SEQ, "write unit: user"},
    {table_base, SEQ "model.hidden=[9,8,7]", "dkt has one or two recurrent layers"},
    {table_base, UNITS "privacy.noise_multiplier=1", "write weighting: uniform"},
    {table_base,
     UNITS "privacy.noise_multiplier=1 fed.weighting=uniform early_stop.patience=2 "
           "eval.metrics=acc",
     "early_stop: needs metrics"},
    {table_base, "local.sample_rate=0.5", "belongs to training that is private per unit"},
    {table_base, UNITS "local.sample_rate=1.5", "1.5 is out of range"},
    {gram_base, "privacy.unit=record privacy.noise_multiplier=1", "write user, with a statistic"},
    {base, "fed.cohort=0", "0 is out of range; it must be above 0 and at most 1"},
    {base, "privacy.delta=0", "0 is out of range"},
    {base, "name=Big", "must be 1 to 63 of the characters a-z 0-9 -"},
    {base, "fed.quorom=1", "did you mean \"stages[0].fed.quorum\"?"},
    {"name: x\n", "",
     "p.yaml: missing key \"data.kind\" (one of interactions, table, idx, answers, text)"},
};

static void test_refusals(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
    struct xf_plan p;
    struct xf_diag diag;
    enum xf_rc rc = texts_load(&p, refusals[i].text, refusals[i].sets, &diag);
    if (!rc) fail_msg("accepted: %s", refusals[i].sets);
    if (!strstr(diag.text, refusals[i].says))
      fail_msg("%s\n  said: %s\n  not:  %s", refusals[i].sets, diag.text, refusals[i].says);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_refusals)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
