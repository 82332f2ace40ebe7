"""The tables for libraries of machine learning, pandas, scikit-learn, XGBoost, CuPy; and for what makes clients.

Names that are missing in the installed version of a library are skipped.
"""

from typing import Final

from whywait.tracer import schema as s
from whywait.tracer.adapters.devices import current_device, device_of_booster, forget_booster
from whywait.tracer.adapters.rule import Rule

PANDAS: Final = {"pandas.core.frame.DataFrame.__init__": Rule(s.PHASE_FRAME, outermost=True)}

_PREDICTS: Final = ("predict", "predict_proba", "predict_log_proba", "decision_function", "score_samples")
SKLEARN: Final = {
    **{f"sklearn.pipeline.Pipeline.{name}": Rule(s.PHASE_PREDICT, steps="steps") for name in _PREDICTS},
    "sklearn.pipeline.Pipeline.transform": Rule(s.PHASE_TRANSFORM, steps="steps"),
    "sklearn.pipeline.FeatureUnion.transform": Rule(s.PHASE_TRANSFORM, steps="transformer_list"),
    "sklearn.compose._column_transformer.ColumnTransformer.transform": Rule(s.PHASE_TRANSFORM, steps="transformers_"),
}

_BOOSTER: Final = Rule(s.PHASE_COMPUTE, device=device_of_booster)
XGBOOST: Final = {
    "xgboost.sklearn.XGBModel.predict": Rule(s.PHASE_PREDICT),
    "xgboost.sklearn.XGBModel.apply": Rule(s.PHASE_PREDICT),
    "xgboost.sklearn.XGBClassifier.predict": Rule(s.PHASE_PREDICT),
    "xgboost.sklearn.XGBClassifier.predict_proba": Rule(s.PHASE_PREDICT),
    "xgboost.core.DMatrix.__init__": Rule(s.PHASE_CONVERSION),
    "xgboost.core.QuantileDMatrix.__init__": Rule(s.PHASE_CONVERSION),
    "xgboost.core.Booster.predict": _BOOSTER,
    "xgboost.core.Booster.inplace_predict": _BOOSTER,
    "xgboost.core.Booster.set_param": Rule("settings", device=forget_booster),
    "xgboost.core.Booster.load_config": Rule("settings", device=forget_booster),
    "xgboost.core.Booster.load_model": Rule("settings", device=forget_booster),
    # inside inplace_predict, which imports them when it is called
    "xgboost.data._transform_pandas_df": Rule(s.PHASE_CONVERSION, title="DataFrame"),
    "xgboost.data._transform_arrow_table": Rule(s.PHASE_CONVERSION, title="Arrow table"),
    "xgboost.data._transform_polars_df": Rule(s.PHASE_CONVERSION, title="Polars frame"),
}

CUPY: Final = {
    "cupy.asarray": Rule(s.PHASE_TO_DEVICE, device=current_device),
    "cupy.asnumpy": Rule(s.PHASE_FROM_DEVICE, device=current_device),
}

CLIENTS: Final = {
    name: Rule(s.PHASE_CLIENT, name.removesuffix(".__init__"), outermost=True)
    for name in (
        "httpx.AsyncClient.__init__", "httpx.Client.__init__", "aiohttp.ClientSession.__init__", "requests.Session.__init__",
        "openai.AsyncOpenAI.__init__", "openai.OpenAI.__init__", "boto3.session.Session.client", "boto3.session.Session.resource",
        "botocore.session.Session.create_client", "pymongo.MongoClient.__init__", "pymongo.AsyncMongoClient.__init__",
        "elasticsearch.AsyncElasticsearch.__init__", "sqlalchemy.create_engine", "sqlalchemy.ext.asyncio.create_async_engine",
        "ssl.create_default_context", "ssl.SSLContext.load_verify_locations", "grpc.insecure_channel", "grpc.secure_channel",
        "grpc.aio.insecure_channel", "grpc.aio.secure_channel",
    )
}  # fmt: skip
